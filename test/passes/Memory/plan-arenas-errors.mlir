// RUN: hadal-opt %s --verify-diagnostics --pipe-plan-arenas

// expected-error@+1 {{has 2 streams; the arena can be planned for one}}
pipe.program @p rank 0 streams ["compute", "copy"] {
}
