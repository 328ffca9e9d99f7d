"""Functions of whole arrays in C, for code to take away. Matrices are row-major; `y` is the result.

Elimination with partial pivoting: Golub and Van Loan, Matrix Computations, sections 3.4 and 4.2 (Cholesky).
"""

C_FUNCTIONS: dict[str, str] = {
    "place_of_maximum": """
/* 1 at the largest entry, 0 elsewhere; entries that tie share the 1 */
static int place_of_maximum(const real *z, real *y, long n)
{
    real top = -INFINITY, count = 0;
    for (long i = 0; i < n; i++)
        if (z[i] > top) top = z[i];
    for (long i = 0; i < n; i++) count += y[i] = z[i] == top;
    for (long i = 0; i < n; i++) y[i] /= count;
    return 0;
}
""",
    "eliminated": """
/* overwrites a by its triangular factors and x by the solution of a x = x, if x is given;
   log |det a| and its sign in size */
static void eliminated(real *a, real *x, long n, real *size)
{
    size[0] = 0;
    size[1] = 1;
    for (long j = 0; j < n; j++) {
        long p = j;
        for (long i = j + 1; i < n; i++)
            if (fabs(a[i * n + j]) > fabs(a[p * n + j])) p = i;
        for (long k = 0; k < n && p != j; k++) {
            real t = a[j * n + k];
            a[j * n + k] = a[p * n + k];
            a[p * n + k] = t;
            if (x) {
                t = x[j * n + k];
                x[j * n + k] = x[p * n + k];
                x[p * n + k] = t;
            }
        }
        if ((p != j) != (a[j * n + j] < 0)) size[1] = -size[1];
        size[0] += log(fabs(a[j * n + j]));
        for (long i = 0; i < n; i++) {
            if (i == j || (!x && i < j)) continue;
            real f = a[i * n + j] / a[j * n + j];
            for (long k = j; k < n; k++) a[i * n + k] -= f * a[j * n + k];
            for (long k = 0; x && k < n; k++) x[i * n + k] -= f * x[j * n + k];
        }
    }
    for (long i = 0; x && i < n; i++)
        for (long k = 0; k < n; k++) x[i * n + k] /= a[i * n + i];
}
""",
    "inverse": """
static int inverse(const real *a, real *y, long n)
{
    real size[2], *copy = malloc((size_t)(n * n) * sizeof(real) + 1);
    if (!copy) return 1;
    for (long i = 0; i < n * n; i++) copy[i] = a[i];
    for (long i = 0; i < n * n; i++) y[i] = i / n == i % n;
    eliminated(copy, y, n, size);
    free(copy);
    return 0;
}
""",
    "measured": """
/* log |det a| and its sign in size */
static int measured(const real *a, real *size, long n)
{
    real *copy = malloc((size_t)(n * n) * sizeof(real) + 1);
    if (!copy) return 1;
    for (long i = 0; i < n * n; i++) copy[i] = a[i];
    eliminated(copy, NULL, n, size);
    free(copy);
    return 0;
}
""",
    "determinant": """
static int determinant(const real *a, real *y, long n)
{
    real size[2];
    if (measured(a, size, n)) return 1;
    *y = size[1] * exp(size[0]);
    return 0;
}
""",
    "log_determinant": """
static int log_determinant(const real *a, real *y, long n)
{
    real size[2];
    if (measured(a, size, n)) return 1;
    *y = size[0];
    return 0;
}
""",
    "lower_factor": """
/* the lower triangular y with y y' = a; of a, the symmetric part is read */
static int lower_factor(const real *a, real *y, long n)
{
    for (long i = 0; i < n; i++)
        for (long j = 0; j < n; j++) {
            real t = (a[i * n + j] + a[j * n + i]) / 2;
            for (long k = 0; k < j && j <= i; k++) t -= y[i * n + k] * y[j * n + k];
            y[i * n + j] = j > i ? 0 : j == i ? sqrt(t) : t / y[j * n + j];
        }
    return 0;
}
""",
    "sigmoid": """
/* 1/(1 + exp(-z)): the exponent is never positive */
static real sigmoid(real z)
{
    real e = exp(-fabs(z));
    return z >= 0 ? 1 / (1 + e) : e / (1 + e);
}
""",
    "softplus": """
/* log(1 + exp(z)), which never overflows */
static real softplus(real z)
{
    return (z > 0 ? z : 0) + log1p(exp(-fabs(z)));
}
""",
}
NEEDS = {
    "inverse": ("eliminated",),
    "determinant": ("eliminated", "measured"),
    "log_determinant": ("eliminated", "measured"),
}
