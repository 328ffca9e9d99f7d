"""The narrative of a derivation: intermediate variables, local Jacobians, the chain, substitution, closed form."""
