// RUN: hadal-opt %s --split-input-file --verify-diagnostics

// What FP8 tiles refuse.

// scaled C1
// expected-error@+1 {{expected sizes from 1 to 2^24, found 0x300}}
func.func private @f(!hadal.scaled<0x300xf8E4M3FN, 1x128, f32>)

// -----

// scaled C1
// expected-error@+1 {{expected a tile of 1x128, 128x1 or 128x128, found 64x128}}
func.func private @f(!hadal.scaled<5x300xf8E4M3FN, 64x128, f32>)

// -----

// scaled C1
// expected-error@+1 {{expected a tile of 1x128, 128x1 or 128x128, found 1x1}}
func.func private @f(!hadal.scaled<5x300xf8E4M3FN, 1x1, f32>)

// -----

// scaled C2
// expected-error@+1 {{expected elements f8E4M3FN or f8E5M2, found 'f32'}}
func.func private @f(!hadal.scaled<5x300xf32, 1x128, f32>)

// -----

// scaled: ranks
// expected-error@+1 {{expected two sizes and two tile sizes, found 1 and 2}}
func.func private @f(!hadal.scaled<5xf8E4M3FN, 1x128, f32>)

// -----

// quantize C1
func.func @f(%x: tensor<5x300xf32>) {
  // expected-error@+1 {{expected 'input' to be 5x200, found 'tensor<5x300xf32>'}}
  hadal.quantize %x {amax_floor = 0.0 : f64} : tensor<5x300xf32> -> !hadal.scaled<5x200xf8E4M3FN, 1x128, f32>
  return
}

// -----

// scaled_linear C1
func.func @f(%a: !hadal.scaled<5x300xf8E4M3FN, 1x128, f32>, %w: !hadal.scaled<200x300xf8E4M3FN, 128x128, f32>) {
  // expected-error@+1 {{expected interval to divide 128, found 48}}
  hadal.scaled_linear %a, %w {interval = 48 : i64} : !hadal.scaled<5x300xf8E4M3FN, 1x128, f32>, !hadal.scaled<200x300xf8E4M3FN, 128x128, f32>
  return
}

// -----

// scaled_linear C1
func.func @f(%a: !hadal.scaled<5x300xf8E4M3FN, 1x128, f32>, %w: !hadal.scaled<200x300xf8E4M3FN, 128x128, f32>) {
  // expected-error@+1 {{expected interval to be positive, found 0}}
  hadal.scaled_linear %a, %w {interval = 0 : i64} : !hadal.scaled<5x300xf8E4M3FN, 1x128, f32>, !hadal.scaled<200x300xf8E4M3FN, 128x128, f32>
  return
}

// -----

// scaled_linear C2
func.func @f(%a: !hadal.scaled<5x300xf8E4M3FN, 1x128, f32>, %v: !hadal.scaled<200x200xf8E4M3FN, 128x128, f32>) {
  // expected-error@+1 {{expected 'input' to have 200 columns, those of 'weight', found 300}}
  hadal.scaled_linear %a, %v {interval = 128 : i64} : !hadal.scaled<5x300xf8E4M3FN, 1x128, f32>, !hadal.scaled<200x200xf8E4M3FN, 128x128, f32>
  return
}

// -----

// scaled_linear C2
func.func @f(%t: !hadal.scaled<5x300xf8E4M3FN, 128x1, f32>, %w: !hadal.scaled<200x300xf8E4M3FN, 128x128, f32>) {
  // expected-error@+1 {{expected 'input' in tiles of 1x128, found 128x1}}
  hadal.scaled_linear %t, %w {interval = 128 : i64} : !hadal.scaled<5x300xf8E4M3FN, 128x1, f32>, !hadal.scaled<200x300xf8E4M3FN, 128x128, f32>
  return
}

// -----

// quantize_tiles: tile
func.func @f(%x: tensor<5x300xf32>) {
  // expected-error@+1 {{expected a tile of 1x128, 128x1 or 128x128, found 2x128}}
  hadal.quantize_tiles %x {amax_floor = 0.0 : f64, element = f8E4M3FN, power_of_two = false, tile_rows = 2 : i64, tile_columns = 128 : i64} : tensor<5x300xf32>
  return
}

// -----

// quantize_tiles: element
func.func @f(%x: tensor<5x300xf32>) {
  // expected-error@+1 {{expected element f8E4M3FN or f8E5M2}}
  hadal.quantize_tiles %x {amax_floor = 0.0 : f64, element = f32, power_of_two = false, tile_rows = 1 : i64, tile_columns = 128 : i64} : tensor<5x300xf32>
  return
}

// -----

// dequantize_tiles: scales
func.func @f(%e: tensor<5x300xf8E4M3FN>, %s: tensor<5x2xf32>) {
  // expected-error@+1 {{expected 'scales' to have the shape [5, 3], found [5, 2]}}
  hadal.dequantize_tiles %e, %s {tile_rows = 1 : i64, tile_columns = 128 : i64} : tensor<5x300xf8E4M3FN>, tensor<5x2xf32>
  return
}
