"""The derivative: reverse accumulation over the shared graph, producing expressions that differentiate again."""
