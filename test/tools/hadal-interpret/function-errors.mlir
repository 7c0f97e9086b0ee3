// What a call of one function refuses: exit code 2 and one line on stderr.

// RUN: rm -rf %t && mkdir %t
// RUN: %{python} %S/Inputs/tensors.py write %t/in.safetensors '{"arg0": ["float32", [1, 2]]}'
// RUN: %{python} %{test}/e2e/Inputs/refused.py hadal-interpret %s --function missing --arguments %t/in.safetensors --out %t/out | FileCheck %s --check-prefix=NONE
// NONE: error: {{.*}}function-errors.mlir: has no function @missing

// RUN: %{python} %{test}/e2e/Inputs/refused.py hadal-interpret %s --function add --arguments %t/in.safetensors --out %t/out | FileCheck %s --check-prefix=FEW
// FEW: error: {{.*}}in.safetensors: argument arg1 of @add is missing

// RUN: %{python} %S/Inputs/tensors.py write %t/many.safetensors '{"arg0": ["float32", [1, 2]], "arg1": ["float32", [1, 2]], "arg2": ["float32", [1]]}'
// RUN: %{python} %{test}/e2e/Inputs/refused.py hadal-interpret %s --function add --arguments %t/many.safetensors --out %t/out | FileCheck %s --check-prefix=MANY
// MANY: error: {{.*}}many.safetensors: tensor arg2: is no argument of @add

// RUN: %{python} %S/Inputs/tensors.py write %t/shape.safetensors '{"arg0": ["float32", [1, 2]], "arg1": ["float32", [1, 2, 3]]}'
// RUN: %{python} %{test}/e2e/Inputs/refused.py hadal-interpret %s --function add --arguments %t/shape.safetensors --out %t/out | FileCheck %s --check-prefix=SHAPE
// SHAPE: error: {{.*}}function-errors.mlir:{{.*}}: argument 1 of @add expects 'tensor<2xf32>', found floats [3]

// RUN: %{python} %S/Inputs/tensors.py write %t/type.safetensors '{"arg0": ["float32", [1, 2]], "arg1": ["int64", [1, 2]]}'
// RUN: %{python} %{test}/e2e/Inputs/refused.py hadal-interpret %s --function add --arguments %t/type.safetensors --out %t/out | FileCheck %s --check-prefix=TYPE
// TYPE: argument 1 of @add expects 'tensor<2xf32>', found integers [2]

// RUN: %{python} %{test}/e2e/Inputs/refused.py hadal-interpret %s --function weight --arguments %t/in.safetensors --out %t/out | FileCheck %s --check-prefix=BOUND
// BOUND: argument 1 of @weight is bound to weight 'w.{layer}', which is not there

// RUN: %{python} %{test}/e2e/Inputs/refused.py hadal-interpret %s --function foreign --arguments %t/in.safetensors --out %t/out | FileCheck %s --check-prefix=FOREIGN
// FOREIGN: 'arith.negf' op is unknown to the reference interpreter

// RUN: %{python} %{test}/e2e/Inputs/refused.py hadal-interpret %s --function add --weights %t --out %t/out | FileCheck %s --check-prefix=FLAGS
// FLAGS: error: --function: takes --arguments, not --weights, --tokens or --gradients
// RUN: %{python} %{test}/e2e/Inputs/refused.py hadal-interpret %s --arguments %t/in.safetensors --out %t/out | FileCheck %s --check-prefix=LONE
// LONE: error: --arguments: goes with --function
// RUN: %{python} %{test}/e2e/Inputs/refused.py hadal-interpret %s --out %t/out | FileCheck %s --check-prefix=WHAT
// WHAT: error: a model needs --weights and --tokens; --function calls a single function
// RUN: %{python} %{test}/e2e/Inputs/refused.py hadal-interpret %t/nothing.mlir --function add --out %t/out | FileCheck %s --check-prefix=FILE
// FILE: error: {{.*}}nothing.mlir: cannot be read: No such file or directory
// RUN: not ls %t/out

func.func @add(%x: tensor<2xf32>, %y: tensor<2xf32>) -> tensor<2xf32> {
  %0 = hadal.add %x, %y : tensor<2xf32>, tensor<2xf32>
  return %0 : tensor<2xf32>
}
func.func @weight(%x: tensor<2xf32>, %w: tensor<1x2xf32> {hadal.bind = #hadal.binding<weight, "w.{layer}">}) -> tensor<1xf32> {
  %0 = hadal.linear %x, %w : tensor<2xf32>, tensor<1x2xf32>
  return %0 : tensor<1xf32>
}
func.func @foreign(%x: tensor<2xf32>) -> tensor<2xf32> {
  %0 = arith.negf %x : tensor<2xf32>
  return %0 : tensor<2xf32>
}
