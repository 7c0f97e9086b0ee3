// RUN: hadal-opt %s --split-input-file --verify-diagnostics

// What the ops of expert parallelism refuse.

// exchange_layout C1
func.func @f(%e: tensor<1x3x3xi32>) {
  // expected-error@+1 {{expected members to divide expert_count, 4, found 3}}
  hadal.exchange_layout %e {expert_count = 4 : i64, members = 3 : i64} : tensor<1x3x3xi32>
  return
}

// -----

// exchange_layout C1
func.func @f(%e: tensor<1x3x3xi32>) {
  // expected-error@+1 {{expected expert_count to be positive, found 0}}
  hadal.exchange_layout %e {expert_count = 0 : i64, members = 1 : i64} : tensor<1x3x3xi32>
  return
}

// -----

// exchange_layout C1
func.func @f(%e: tensor<1x3x3xi32>) {
  // expected-error@+1 {{expected members to be positive, found 0}}
  hadal.exchange_layout %e {expert_count = 4 : i64, members = 0 : i64} : tensor<1x3x3xi32>
  return
}

// -----

// sort_received C1
func.func @f(%e: tensor<6x3xi32>, %r: tensor<2x3xi64>, %first: tensor<i32>) {
  // expected-error@+1 {{expected expert_count to be positive, found 0}}
  hadal.sort_received %e, %r, %first {expert_count = 0 : i64} : tensor<6x3xi32>, tensor<2x3xi64>, tensor<i32>
  return
}

// -----

// sort_received C1
func.func @f(%e: tensor<6x3xi32>, %r: tensor<1x3xi64>, %first: tensor<i32>) {
  // expected-error@+1 {{expected dimension 0 of 'received' to be 2, tokens and routed rows, found 1}}
  hadal.sort_received %e, %r, %first {expert_count = 2 : i64} : tensor<6x3xi32>, tensor<1x3xi64>, tensor<i32>
  return
}

// -----

// sort_received C1
func.func @f(%e: tensor<1x6x3xi32>, %r: tensor<2x3xi64>, %first: tensor<i32>) {
  // expected-error@+1 {{expected 'experts' to have rank 2, found 3}}
  hadal.sort_received %e, %r, %first {expert_count = 2 : i64} : tensor<1x6x3xi32>, tensor<2x3xi64>, tensor<i32>
  return
}

// -----

// combine_members C1
func.func @f(%rows: tensor<7x8xf32>, %slot: tensor<1x3x2xi32>) {
  // expected-error@+1 {{expected 'rows' to have at most the 6 elements of 'send_slot', found 7}}
  hadal.combine_members %rows, %slot : tensor<7x8xf32>, tensor<1x3x2xi32>
  return
}

// -----

// dispatch C1, of received rows
func.func @f(%x: tensor<6x8xf32>, %s: tensor<19xi32>, %l: tensor<6x3xi32>) {
  // expected-error@+1 {{expected 'source' to have at most the 18 elements of 'slot', found 19}}
  hadal.dispatch %x, %s, %l : tensor<6x8xf32>, tensor<19xi32>, tensor<6x3xi32>
  return
}

// -----

// combine C1, of received rows
func.func @f(%x: tensor<18x8xf32>, %s: tensor<12xi32>, %l: tensor<6x3xi32>) {
  // expected-error@+1 {{expected dimension 0 of 'rows' to be 12, the elements of 'source', found 18}}
  hadal.combine %x, %s, %l : tensor<18x8xf32>, tensor<12xi32>, tensor<6x3xi32>
  return
}

// -----

// exchange C1
func.func @f(%x: tensor<1x3x8xf32>, %c: tensor<2x2xi64>, %o: tensor<3xi64>, %t: tensor<6xi32>, %s: tensor<1x3x2xi32>) {
  // expected-error@+1 {{expected layer not to be negative, found -1}}
  hadal.exchange scatter layer -1 (%x) sent(%c, %o, %t, %s) {members = 2 : i64, phase = #hadal.phase<F>} : (tensor<1x3x8xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<6xi32>, tensor<1x3x2xi32>) -> (tensor<6x8xf32>, tensor<2x3xi64>)
  return
}

// -----

// exchange C1
func.func @f(%x: tensor<1x3x8xf32>, %c: tensor<2x2xi64>, %o: tensor<3xi64>, %t: tensor<6xi32>, %s: tensor<1x3x2xi32>) {
  // expected-error@+1 {{expected members to be positive, found 0}}
  hadal.exchange scatter layer 3 (%x) sent(%c, %o, %t, %s) {members = 0 : i64, phase = #hadal.phase<F>} : (tensor<1x3x8xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<6xi32>, tensor<1x3x2xi32>) -> (tensor<6x8xf32>, tensor<2x3xi64>)
  return
}

// -----

// exchange C1
func.func @f(%x: tensor<1x3x8xf32>, %c: tensor<2x2xi64>, %o: tensor<3xi64>, %t: tensor<6xi32>, %s: tensor<1x3x2xi32>) {
  // expected-error@+1 {{expected phase F or B, found W}}
  hadal.exchange scatter layer 3 (%x) sent(%c, %o, %t, %s) {members = 2 : i64, phase = #hadal.phase<W>} : (tensor<1x3x8xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<6xi32>, tensor<1x3x2xi32>) -> (tensor<6x8xf32>, tensor<2x3xi64>)
  return
}

// -----

// exchange C2
func.func @f(%x: tensor<1x3x8xf32>, %c: tensor<2xi64>, %o: tensor<3xi64>, %t: tensor<6xi32>, %s: tensor<1x3x2xi32>) {
  // expected-error@+1 {{expected send_counts to be 'tensor<2x2xi64>', found 'tensor<2xi64>'}}
  hadal.exchange scatter layer 3 (%x) sent(%c, %o, %t, %s) {members = 2 : i64, phase = #hadal.phase<F>} : (tensor<1x3x8xf32>, tensor<2xi64>, tensor<3xi64>, tensor<6xi32>, tensor<1x3x2xi32>) -> (tensor<6x8xf32>, tensor<2x3xi64>)
  return
}

// -----

// exchange C2
func.func @f(%x: tensor<1x3x8xf32>, %c: tensor<2x2xi64>, %o: tensor<2xi64>, %t: tensor<6xi32>, %s: tensor<1x3x2xi32>) {
  // expected-error@+1 {{expected send_offsets to be 'tensor<3xi64>', found 'tensor<2xi64>'}}
  hadal.exchange scatter layer 3 (%x) sent(%c, %o, %t, %s) {members = 2 : i64, phase = #hadal.phase<F>} : (tensor<1x3x8xf32>, tensor<2x2xi64>, tensor<2xi64>, tensor<6xi32>, tensor<1x3x2xi32>) -> (tensor<6x8xf32>, tensor<2x3xi64>)
  return
}

// -----

// exchange C2
func.func @f(%x: tensor<1x3x8xf32>, %c: tensor<2x2xi64>, %o: tensor<3xi64>, %t: tensor<6xi32>, %s: tensor<1x3x2xi32>, %r: tensor<3xi64>) {
  // expected-error@+1 {{expected received to be 'tensor<2x3xi64>', found 'tensor<3xi64>'}}
  hadal.exchange scatter layer 3 (%x) sent(%c, %o, %t, %s) received(%r) {members = 2 : i64, phase = #hadal.phase<F>} : (tensor<1x3x8xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<6xi32>, tensor<1x3x2xi32>, tensor<3xi64>) -> tensor<6x8xf32>
  return
}

// -----

// exchange C2
func.func @f(%x: tensor<1x3x8xf32>, %c: tensor<2x2xi64>, %o: tensor<3xi64>, %t: tensor<6xi32>, %s: tensor<1x3x3xi32>) {
  // expected-error@+1 {{expected send_slot [B, T, 2], found 'tensor<1x3x3xi32>'}}
  hadal.exchange scatter layer 3 (%x) sent(%c, %o, %t, %s) {members = 2 : i64, phase = #hadal.phase<F>} : (tensor<1x3x8xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<6xi32>, tensor<1x3x3xi32>) -> (tensor<6x8xf32>, tensor<2x3xi64>)
  return
}

// -----

// exchange C2
func.func @f(%x: tensor<1x3x8xf32>, %c: tensor<2x2xi64>, %o: tensor<3xi64>, %t: tensor<7xi32>, %s: tensor<1x3x2xi32>) {
  // expected-error@+1 {{expected send_token of 1 to 6 rows, found 'tensor<7xi32>'}}
  hadal.exchange scatter layer 3 (%x) sent(%c, %o, %t, %s) {members = 2 : i64, phase = #hadal.phase<F>} : (tensor<1x3x8xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<7xi32>, tensor<1x3x2xi32>) -> (tensor<6x8xf32>, tensor<2x3xi64>)
  return
}

// -----

// exchange C3
func.func @f(%x: tensor<1x4x8xf32>, %c: tensor<2x2xi64>, %o: tensor<3xi64>, %t: tensor<6xi32>, %s: tensor<1x3x2xi32>) {
  // expected-error@+1 {{expected payload 0 to be [1, 3, any], found 'tensor<1x4x8xf32>'}}
  hadal.exchange scatter layer 3 (%x) sent(%c, %o, %t, %s) {members = 2 : i64, phase = #hadal.phase<F>} : (tensor<1x4x8xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<6xi32>, tensor<1x3x2xi32>) -> (tensor<6x8xf32>, tensor<2x3xi64>)
  return
}

// -----

// exchange C3
func.func @f(%x: tensor<1x3x8xf32>, %c: tensor<2x2xi64>, %o: tensor<3xi64>, %t: tensor<6xi32>, %s: tensor<1x3x2xi32>) {
  // expected-error@+1 {{expected result 0 to be 'tensor<6x8xf32>', found 'tensor<5x8xf32>'}}
  hadal.exchange scatter layer 3 (%x) sent(%c, %o, %t, %s) {members = 2 : i64, phase = #hadal.phase<F>} : (tensor<1x3x8xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<6xi32>, tensor<1x3x2xi32>) -> (tensor<5x8xf32>, tensor<2x3xi64>)
  return
}

// -----

// exchange C3
func.func @f(%x: tensor<1x3x8xf32>, %c: tensor<2x2xi64>, %o: tensor<3xi64>, %t: tensor<6xi32>, %s: tensor<1x3x2xi32>) {
  // expected-error@+1 {{expected 2 results, found 1}}
  hadal.exchange scatter layer 3 (%x) sent(%c, %o, %t, %s) {members = 2 : i64, phase = #hadal.phase<F>} : (tensor<1x3x8xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<6xi32>, tensor<1x3x2xi32>) -> tensor<6x8xf32>
  return
}

// -----

// exchange C3
func.func @f(%x: tensor<1x3x8xf32>, %c: tensor<2x2xi64>, %o: tensor<3xi64>, %t: tensor<6xi32>, %s: tensor<1x3x2xi32>) {
  // expected-error@+1 {{expected the last result, the received sums, to be 'tensor<2x3xi64>', found 'tensor<3xi64>'}}
  hadal.exchange scatter layer 3 (%x) sent(%c, %o, %t, %s) {members = 2 : i64, phase = #hadal.phase<F>} : (tensor<1x3x8xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<6xi32>, tensor<1x3x2xi32>) -> (tensor<6x8xf32>, tensor<3xi64>)
  return
}

// -----

// exchange C3
func.func @f(%x: tensor<1x3x8xf32>, %c: tensor<2x2xi64>, %o: tensor<3xi64>, %t: tensor<6xi32>, %s: tensor<1x3x2xi32>, %r: tensor<2x3xi64>) {
  // expected-error@+1 {{expected 1 results, found 2}}
  hadal.exchange scatter layer 3 (%x) sent(%c, %o, %t, %s) received(%r) {members = 2 : i64, phase = #hadal.phase<F>} : (tensor<1x3x8xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<6xi32>, tensor<1x3x2xi32>, tensor<2x3xi64>) -> (tensor<6x8xf32>, tensor<2x3xi64>)
  return
}

// -----

// exchange C4
func.func @f(%x: tensor<6x8xf32>, %c: tensor<2x2xi64>, %o: tensor<3xi64>, %t: tensor<6xi32>, %s: tensor<1x3x2xi32>) {
  // expected-error@+1 {{expected the received sums, found none}}
  hadal.exchange gather layer 3 (%x) sent(%c, %o, %t, %s) {members = 2 : i64, phase = #hadal.phase<F>} : (tensor<6x8xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<6xi32>, tensor<1x3x2xi32>) -> tensor<6x8xf32>
  return
}

// -----

// exchange C4
func.func @f(%x: tensor<5x8xf32>, %c: tensor<2x2xi64>, %o: tensor<3xi64>, %t: tensor<6xi32>, %s: tensor<1x3x2xi32>, %r: tensor<2x3xi64>) {
  // expected-error@+1 {{expected payload 0 to be [6, any], found 'tensor<5x8xf32>'}}
  hadal.exchange gather layer 3 (%x) sent(%c, %o, %t, %s) received(%r) {members = 2 : i64, phase = #hadal.phase<F>} : (tensor<5x8xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<6xi32>, tensor<1x3x2xi32>, tensor<2x3xi64>) -> tensor<6x8xf32>
  return
}

// -----

// exchange C4
func.func @f(%x: tensor<6x8xf32>, %c: tensor<2x2xi64>, %o: tensor<3xi64>, %t: tensor<4xi32>, %s: tensor<1x3x2xi32>, %r: tensor<2x3xi64>) {
  // expected-error@+1 {{expected result 0 to be 'tensor<4x8xf32>', found 'tensor<6x8xf32>'}}
  hadal.exchange gather layer 3 (%x) sent(%c, %o, %t, %s) received(%r) {members = 2 : i64, phase = #hadal.phase<F>} : (tensor<6x8xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<4xi32>, tensor<1x3x2xi32>, tensor<2x3xi64>) -> tensor<6x8xf32>
  return
}
