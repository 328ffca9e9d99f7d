"""Elementary functions of one number, written so that LLVM turns a loop over them into vector code.

They hold no branch, no table and no call, only selections and polynomials. Their text is put into the kernels; run as
plain Python they give the same numbers. Accuracy: 2 units in the last place, measured by tests/test_scalars.py.
Sources: Cody and Waite, Software Manual for the Elementary Functions, 1980; Muller, Elementary Functions, 3rd ed.
"""
