func.func @gradients() attributes {hadal.program} {
  return
}
