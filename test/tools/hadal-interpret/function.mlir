// One function: arguments by number, by hadal.name and by binding; every element type; both precisions.

// RUN: rm -rf %t && mkdir %t
// RUN: %{python} %S/Inputs/tensors.py write %t/in.safetensors '{"arg0": ["int64", [[1, 0]]], "table": ["float32", [[1, 2], [3, 16777216]]], "w.{layer}": ["float32", [[1, 0], [0, 1], [1, 1]]], "gradient.w.{layer}": ["float32", [[0, 0], [0, 0], [100, 100]]], "arg4": ["int64", [7, 8]]}'
// RUN: hadal-interpret %s --function layer --arguments %t/in.safetensors --out %t/out.safetensors
// RUN: %{python} %S/Inputs/tensors.py show %t/out.safetensors | FileCheck %s --check-prefix=LAYER

// LAYER: result0 float32 [1, 2, 3] {{\[\[\[3.0, 16777216.0, 16777220.0\], \[1.0, 2.0, 3.0\]\]\]}}
// LAYER-NEXT: result1 float32 [3, 2] {{\[\[10.0, 50331648.0\]}}
// LAYER-NEXT: result2 int64 [2] [7, 8]
// LAYER-NEXT: result3 float64 [] 8.0
func.func @layer(%ids: tensor<1x2xi32>, %table: tensor<2x2xf32> {hadal.name = "table"},
    %w: tensor<3x2xf32> {hadal.bind = #hadal.binding<weight, "w.{layer}">},
    %g: tensor<3x2xf32> {hadal.bind = #hadal.binding<gradient, "w.{layer}">},
    %n: tensor<2xi64>, %c: tensor<2xi64> {hadal.bind = #hadal.binding<state, "counts">})
    -> (tensor<1x2x3xf32>, tensor<3x2xf32>, tensor<2xi64>, tensor<f64>) {
  %x = hadal.embedding %ids, %table {offset = 0, tokens = 2} : tensor<1x2xi32>, tensor<2x2xf32>
  %y = hadal.linear %x, %w : tensor<1x2x2xf32>, tensor<3x2xf32>
  %dw = hadal.weight_gradient %y, %x, %g : tensor<1x2x3xf32>, tensor<1x2x2xf32>, tensor<3x2xf32>
  %counts = hadal.accumulate_counts %n, %c : tensor<2xi64>, tensor<2xi64>
  %eight = arith.constant dense<4.0> : tensor<2xf64>
  %loss = hadal.reduce_loss %eight {divisor = 1} : tensor<2xf64>
  return %y, %dw, %counts, %loss : tensor<1x2x3xf32>, tensor<3x2xf32>, tensor<2xi64>, tensor<f64>
}

// RUN: %{python} %S/Inputs/tensors.py write %t/tiles.safetensors '{"arg0": ["float32", [[448, -3, 1.0625]]]}'
// RUN: hadal-interpret %s --function quantize --arguments %t/tiles.safetensors --out %t/scaled.safetensors
// RUN: %{python} %S/Inputs/tensors.py show %t/scaled.safetensors | FileCheck %s --check-prefix=SCALED
// SCALED: result0 uint8 [1, 3] {{\[\[126, 196, 56\]\]}}
// SCALED-NEXT: result0_scale float32 [1, 1] {{\[\[1.0\]\]}}
func.func @quantize(%x: tensor<1x3xf32>) -> !hadal.scaled<1x3xf8E4M3FN, 1x128, f32> {
  %0 = hadal.quantize %x {amax_floor = 1.0e-4} : tensor<1x3xf32> -> !hadal.scaled<1x3xf8E4M3FN, 1x128, f32>
  return %0 : !hadal.scaled<1x3xf8E4M3FN, 1x128, f32>
}

// RUN: %{python} %S/Inputs/tensors.py write %t/f8.safetensors '{"arg0": ["uint8", [[126, 196, 56]]], "arg0_scale": ["float32", [[0.5]]]}'
// RUN: hadal-interpret %s --function dequantize --arguments %t/f8.safetensors --out %t/plain.safetensors
// RUN: %{python} %S/Inputs/tensors.py show %t/plain.safetensors | FileCheck %s --check-prefix=PLAIN
// PLAIN: result0 float32 [1, 3] {{\[\[224.0, -1.5, 0.5\]\]}}
func.func @dequantize(%x: !hadal.scaled<1x3xf8E4M3FN, 1x128, f32>) -> tensor<1x3xf32> {
  %0 = hadal.dequantize %x : !hadal.scaled<1x3xf8E4M3FN, 1x128, f32>
  return %0 : tensor<1x3xf32>
}

// 16777216 + 1 + 1: f64 keeps both ones until the result is written, f32 loses them.
// RUN: %{python} %S/Inputs/tensors.py write %t/sum.safetensors '{"arg0": ["float32", [16777216]], "arg1": ["float32", [1]]}'
// RUN: hadal-interpret %s --function sum --arguments %t/sum.safetensors --out %t/f64.safetensors
// RUN: hadal-interpret %s --function sum --arguments %t/sum.safetensors --out %t/f32.safetensors --precision f32
// RUN: %{python} %S/Inputs/tensors.py show %t/f64.safetensors | FileCheck %s --check-prefix=F64
// RUN: %{python} %S/Inputs/tensors.py show %t/f32.safetensors | FileCheck %s --check-prefix=F32
// F64: result0 float32 [1] [16777218.0]
// F32: result0 float32 [1] [16777216.0]
func.func @sum(%x: tensor<1xf32>, %y: tensor<1xf32>) -> tensor<1xf32> {
  %0 = hadal.add %x, %y : tensor<1xf32>, tensor<1xf32>
  %1 = hadal.add %0, %y : tensor<1xf32>, tensor<1xf32>
  return %1 : tensor<1xf32>
}
