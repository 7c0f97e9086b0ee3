func.func @send(%x: tensor<1x1x2xf32>, %c: tensor<2x2xi64>, %o: tensor<3xi64>, %t: tensor<1xi32>, %s: tensor<1x1x2xi32>)
    -> tensor<2x2xf32> {
  %rows, %received = hadal.exchange scatter layer 0 (%x) sent(%c, %o, %t, %s) {members = 2 : i64, phase = #hadal.phase<F>}
      : (tensor<1x1x2xf32>, tensor<2x2xi64>, tensor<3xi64>, tensor<1xi32>, tensor<1x1x2xi32>) -> (tensor<2x2xf32>, tensor<2x3xi64>)
  return %rows : tensor<2x2xf32>
}
