/* Written by `python -m autograd._rows` from primitives.py. */

static double compute_add(const double *args)
{
    double x = args[0], y = args[1];
    return x + y;
}

static double record_add(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double z = x + y;
    d[0] = wanted & 1u ? 1.0 : 0.0;
    d[1] = wanted & 2u ? 1.0 : 0.0;
    return z;
}

static double compute_sub(const double *args)
{
    double x = args[0], y = args[1];
    return x - y;
}

static double record_sub(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double z = x - y;
    d[0] = wanted & 1u ? 1.0 : 0.0;
    d[1] = wanted & 2u ? -1.0 : 0.0;
    return z;
}

static double compute_mul(const double *args)
{
    double x = args[0], y = args[1];
    return x * y;
}

static double record_mul(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double z = x * y;
    d[0] = wanted & 1u ? y : 0.0;
    d[1] = wanted & 2u ? x : 0.0;
    return z;
}

static double compute_div(const double *args)
{
    double x = args[0], y = args[1];
    return x / y;
}

static double record_div(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double z = x / y;
    d[0] = wanted & 1u ? 1.0 / (y + 0.0) : 0.0;
    d[1] = wanted & 2u ? (-z) / y : 0.0;
    return z;
}

static double compute_neg(const double *args)
{
    double x = args[0];
    return -x;
}

static double record_neg(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = -x;
    (void)wanted;
    d[0] = -1.0;
    return z;
}

static double compute_pow(const double *args)
{
    double x = args[0], y = args[1];
    return power(x, y);
}

static double record_pow(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double z = power(x, y);
    d[0] = wanted & 1u ? y == 0.0 ? 0.0 : (z == z ? (y * power(x + 0.0, y - 1.0)) : z) : 0.0;
    d[1] = wanted & 2u ? x < 0.0 ? NAN : (z == 0.0 ? z : (fabs(z) * log(x))) : 0.0;
    return z;
}

static double compute__fmod(const double *args)
{
    double x = args[0], y = args[1];
    return fmod(x, y);
}

static double record__fmod(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double z = fmod(x, y);
    d[0] = wanted & 1u ? z == z ? 1.0 : z : 0.0;
    d[1] = wanted & 2u ? -floor(((x / y) - (z / y)) + 0.5) : 0.0;
    return z;
}

static double compute_mod(const double *args)
{
    double x = args[0], y = args[1];
    double v2 = fmod(x, y);
    return v2 == 0.0 ? (y < 0.0 ? -0.0 : 0.0) : (((double)(y < 0.0)) != ((double)(v2 < 0.0)) ? (v2 + y) : v2);
}

static double record_mod(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double v2 = fmod(x, y);
    double z = v2 == 0.0 ? (y < 0.0 ? -0.0 : 0.0) : (((double)(y < 0.0)) != ((double)(v2 < 0.0)) ? (v2 + y) : v2);
    d[0] = wanted & 1u ? z == z ? 1.0 : z : 0.0;
    d[1] = wanted & 2u ? -floor(((x / y) - (z / y)) + 0.5) : 0.0;
    return z;
}

static double compute_fma(const double *args)
{
    double x = args[0], y = args[1], w = args[2];
    return fma(x, y, w);
}

static double record_fma(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1], w = args[2];
    double z = fma(x, y, w);
    d[0] = wanted & 1u ? y : 0.0;
    d[1] = wanted & 2u ? x : 0.0;
    d[2] = wanted & 4u ? 1.0 : 0.0;
    return z;
}

static double compute_exp(const double *args)
{
    double x = args[0];
    return exp(x);
}

static double record_exp(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = exp(x);
    (void)wanted;
    d[0] = z;
    return z;
}

static double compute_exp2(const double *args)
{
    double x = args[0];
    return exp2(x);
}

static double record_exp2(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = exp2(x);
    (void)wanted;
    d[0] = z * 0.6931471805599453;
    return z;
}

static double compute_expm1(const double *args)
{
    double x = args[0];
    return expm1(x);
}

static double record_expm1(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = expm1(x);
    (void)wanted;
    d[0] = exp(x);
    return z;
}

static double compute_log(const double *args)
{
    double x = args[0];
    return log(x);
}

static double record_log(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = log(x);
    (void)wanted;
    d[0] = z == z ? (1.0 / (x + 0.0)) : z;
    return z;
}

static double compute_log2(const double *args)
{
    double x = args[0];
    return log2(x);
}

static double record_log2(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = log2(x);
    (void)wanted;
    d[0] = z == z ? (1.4426950408889634 / (x + 0.0)) : z;
    return z;
}

static double compute_log10(const double *args)
{
    double x = args[0];
    return log10(x);
}

static double record_log10(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = log10(x);
    (void)wanted;
    d[0] = z == z ? (0.43429448190325176 / (x + 0.0)) : z;
    return z;
}

static double compute_log1p(const double *args)
{
    double x = args[0];
    return log1p(x);
}

static double record_log1p(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = log1p(x);
    (void)wanted;
    d[0] = z == z ? (1.0 / (1.0 + x)) : z;
    return z;
}

static double compute_sqrt(const double *args)
{
    double x = args[0];
    return sqrt(x);
}

static double record_sqrt(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = sqrt(x);
    (void)wanted;
    d[0] = 0.5 / (z + 0.0);
    return z;
}

static double compute_cbrt(const double *args)
{
    double x = args[0];
    return cbrt(x);
}

static double record_cbrt(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = cbrt(x);
    (void)wanted;
    d[0] = 1.0 / ((3.0 * z) * z);
    return z;
}

static double compute_sin(const double *args)
{
    double x = args[0];
    return sin(x);
}

static double record_sin(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = sin(x);
    (void)wanted;
    d[0] = cos(x);
    return z;
}

static double compute_cos(const double *args)
{
    double x = args[0];
    return cos(x);
}

static double record_cos(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = cos(x);
    (void)wanted;
    d[0] = -sin(x);
    return z;
}

static double compute_tan(const double *args)
{
    double x = args[0];
    return tan(x);
}

static double record_tan(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = tan(x);
    (void)wanted;
    d[0] = 1.0 + (z * z);
    return z;
}

static double compute_asin(const double *args)
{
    double x = args[0];
    return asin(x);
}

static double record_asin(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = asin(x);
    (void)wanted;
    d[0] = 1.0 / sqrt((1.0 - x) * (1.0 + x));
    return z;
}

static double compute_acos(const double *args)
{
    double x = args[0];
    return acos(x);
}

static double record_acos(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = acos(x);
    (void)wanted;
    d[0] = -1.0 / sqrt((1.0 - x) * (1.0 + x));
    return z;
}

static double compute_atan(const double *args)
{
    double x = args[0];
    return atan(x);
}

static double record_atan(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = atan(x);
    (void)wanted;
    d[0] = 1.0 / (1.0 + (x * x));
    return z;
}

static double compute_sinh(const double *args)
{
    double x = args[0];
    return sinh(x);
}

static double record_sinh(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = sinh(x);
    (void)wanted;
    d[0] = cosh(x);
    return z;
}

static double compute_cosh(const double *args)
{
    double x = args[0];
    return cosh(x);
}

static double record_cosh(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = cosh(x);
    (void)wanted;
    d[0] = sinh(x);
    return z;
}

static double compute_tanh(const double *args)
{
    double x = args[0];
    return tanh(x);
}

static double record_tanh(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = tanh(x);
    (void)wanted;
    d[0] = 1.0 - (z * z);
    return z;
}

static double compute_acosh(const double *args)
{
    double x = args[0];
    return acosh(x);
}

static double record_acosh(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = acosh(x);
    (void)wanted;
    d[0] = 1.0 / (sqrt(x - 1.0) * sqrt(x + 1.0));
    return z;
}

static double compute_atanh(const double *args)
{
    double x = args[0];
    return atanh(x);
}

static double record_atanh(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = atanh(x);
    (void)wanted;
    d[0] = z == z ? (1.0 / ((1.0 - x) * (1.0 + x))) : z;
    return z;
}

static double compute_degrees(const double *args)
{
    double x = args[0];
    return x * 57.29577951308232;
}

static double record_degrees(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = x * 57.29577951308232;
    (void)wanted;
    d[0] = 57.29577951308232;
    return z;
}

static double compute_radians(const double *args)
{
    double x = args[0];
    return x * 0.017453292519943295;
}

static double record_radians(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = x * 0.017453292519943295;
    (void)wanted;
    d[0] = 0.017453292519943295;
    return z;
}

static double compute__gaussian(const double *args)
{
    double x = args[0];
    double v4 = floor((64.0 * x) + 0.5) / 64.0;
    return fabs(x) < 28.0 ? (exp((-v4) * v4) * exp((v4 - x) * (v4 + x))) : (x == x ? 0.0 : x);
}

static double record__gaussian(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double v4 = floor((64.0 * x) + 0.5) / 64.0;
    double z = fabs(x) < 28.0 ? (exp((-v4) * v4) * exp((v4 - x) * (v4 + x))) : (x == x ? 0.0 : x);
    (void)wanted;
    d[0] = (-2.0 * x) * z;
    return z;
}

static double compute_erf(const double *args)
{
    double x = args[0];
    return erf(x);
}

static double record_erf(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = erf(x);
    double v5 = floor((64.0 * x) + 0.5) / 64.0;
    (void)wanted;
    d[0] = 1.1283791670955126 * (fabs(x) < 28.0 ? (exp((-v5) * v5) * exp((v5 - x) * (v5 + x))) : (x == x ? 0.0 : x));
    return z;
}

static double compute_erfc(const double *args)
{
    double x = args[0];
    return erfc(x);
}

static double record_erfc(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = erfc(x);
    double v5 = floor((64.0 * x) + 0.5) / 64.0;
    (void)wanted;
    d[0] = -1.1283791670955126 * (fabs(x) < 28.0 ? (exp((-v5) * v5) * exp((v5 - x) * (v5 + x))) : (x == x ? 0.0 : x));
    return z;
}

static double compute_less(const double *args)
{
    double x = args[0], y = args[1];
    return (double)(x < y);
}

static double record_less(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double z = (double)(x < y);
    d[0] = wanted & 1u ? 0.0 : 0.0;
    d[1] = wanted & 2u ? 0.0 : 0.0;
    return z;
}

static double compute_less_equal(const double *args)
{
    double x = args[0], y = args[1];
    return (double)(x <= y);
}

static double record_less_equal(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double z = (double)(x <= y);
    d[0] = wanted & 1u ? 0.0 : 0.0;
    d[1] = wanted & 2u ? 0.0 : 0.0;
    return z;
}

static double compute_greater(const double *args)
{
    double x = args[0], y = args[1];
    return (double)(x > y);
}

static double record_greater(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double z = (double)(x > y);
    d[0] = wanted & 1u ? 0.0 : 0.0;
    d[1] = wanted & 2u ? 0.0 : 0.0;
    return z;
}

static double compute_greater_equal(const double *args)
{
    double x = args[0], y = args[1];
    return (double)(x >= y);
}

static double record_greater_equal(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double z = (double)(x >= y);
    d[0] = wanted & 1u ? 0.0 : 0.0;
    d[1] = wanted & 2u ? 0.0 : 0.0;
    return z;
}

static double compute_equal(const double *args)
{
    double x = args[0], y = args[1];
    return (double)(x == y);
}

static double record_equal(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double z = (double)(x == y);
    d[0] = wanted & 1u ? 0.0 : 0.0;
    d[1] = wanted & 2u ? 0.0 : 0.0;
    return z;
}

static double compute_not_equal(const double *args)
{
    double x = args[0], y = args[1];
    return (double)(x != y);
}

static double record_not_equal(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double z = (double)(x != y);
    d[0] = wanted & 1u ? 0.0 : 0.0;
    d[1] = wanted & 2u ? 0.0 : 0.0;
    return z;
}

static double compute_where(const double *args)
{
    double x = args[0], y = args[1], w = args[2];
    return x != 0.0 ? y : w;
}

static double record_where(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1], w = args[2];
    double z = x != 0.0 ? y : w;
    d[0] = wanted & 1u ? 0.0 : 0.0;
    d[1] = wanted & 2u ? x != 0.0 ? 1.0 : 0.0 : 0.0;
    d[2] = wanted & 4u ? x != 0.0 ? 0.0 : 1.0 : 0.0;
    return z;
}

static double compute_maximum(const double *args)
{
    double x = args[0], y = args[1];
    return x > y ? x : (x == x ? y : x);
}

static double record_maximum(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double z = x > y ? x : (x == x ? y : x);
    d[0] = wanted & 1u ? x > y ? 1.0 : (x == y ? 0.5 : (x < y ? 0.0 : (x + y))) : 0.0;
    d[1] = wanted & 2u ? y > x ? 1.0 : (y == x ? 0.5 : (y < x ? 0.0 : (y + x))) : 0.0;
    return z;
}

static double compute_minimum(const double *args)
{
    double x = args[0], y = args[1];
    return x < y ? x : (x == x ? y : x);
}

static double record_minimum(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double z = x < y ? x : (x == x ? y : x);
    d[0] = wanted & 1u ? y > x ? 1.0 : (y == x ? 0.5 : (y < x ? 0.0 : (y + x))) : 0.0;
    d[1] = wanted & 2u ? x > y ? 1.0 : (x == y ? 0.5 : (x < y ? 0.0 : (x + y))) : 0.0;
    return z;
}

static double compute_clip(const double *args)
{
    double x = args[0], y = args[1], w = args[2];
    double v6 = x > y ? x : (x == x ? y : x);
    return v6 < w ? v6 : (v6 == v6 ? w : v6);
}

static double record_clip(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1], w = args[2];
    double v6 = x > y ? x : (x == x ? y : x);
    double z = v6 < w ? v6 : (v6 == v6 ? w : v6);
    d[0] = wanted & 1u ? z == z ? (x > y ? (x < w ? 1.0 : 0.0) : 0.0) : z : 0.0;
    d[1] = wanted & 2u ? z == z ? (x < y ? (y < w ? 1.0 : 0.0) : 0.0) : z : 0.0;
    d[2] = wanted & 4u ? z == z ? (v6 > w ? 1.0 : 0.0) : z : 0.0;
    return z;
}

static double compute_abs(const double *args)
{
    double x = args[0];
    return fabs(x);
}

static double record_abs(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = fabs(x);
    (void)wanted;
    d[0] = x > 0.0 ? 1.0 : (x < 0.0 ? -1.0 : (x + 0.0));
    return z;
}

static double compute_sign(const double *args)
{
    double x = args[0];
    return x > 0.0 ? 1.0 : (x < 0.0 ? -1.0 : (x + 0.0));
}

static double record_sign(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = x > 0.0 ? 1.0 : (x < 0.0 ? -1.0 : (x + 0.0));
    (void)wanted;
    d[0] = z == z ? 0.0 : z;
    return z;
}

static double compute_floor(const double *args)
{
    double x = args[0];
    return floor(x);
}

static double record_floor(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = floor(x);
    (void)wanted;
    d[0] = z == z ? 0.0 : z;
    return z;
}

static double compute_ceil(const double *args)
{
    double x = args[0];
    return ceil(x);
}

static double record_ceil(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = ceil(x);
    (void)wanted;
    d[0] = z == z ? 0.0 : z;
    return z;
}

static double compute_copysign(const double *args)
{
    double x = args[0], y = args[1];
    double v6 = fabs(x);
    return (y == 0.0 ? atan2(y, -1.0) : y) < 0.0 ? (-v6) : v6;
}

static double record_copysign(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double v4 = y == 0.0 ? atan2(y, -1.0) : y;
    double v6 = fabs(x);
    double z = v4 < 0.0 ? (-v6) : v6;
    d[0] = wanted & 1u ? (x > 0.0 ? 1.0 : (x < 0.0 ? -1.0 : (x + 0.0))) * (v4 < 0.0 ? -1.0 : 1.0) : 0.0;
    d[1] = wanted & 2u ? 0.0 : 0.0;
    return z;
}

static double compute_sigmoid(const double *args)
{
    double x = args[0];
    double v3 = exp(-fabs(x));
    return (x >= 0.0 ? 1.0 : v3) / (1.0 + v3);
}

static double record_sigmoid(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double v3 = exp(-fabs(x));
    double z = (x >= 0.0 ? 1.0 : v3) / (1.0 + v3);
    (void)wanted;
    d[0] = z * (1.0 - z);
    return z;
}

static double compute_softplus(const double *args)
{
    double x = args[0];
    return (x > 0.0 ? x : (x == x ? 0.0 : x)) + log1p(exp(-fabs(x)));
}

static double record_softplus(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double v7 = exp(-fabs(x));
    double z = (x > 0.0 ? x : (x == x ? 0.0 : x)) + log1p(v7);
    (void)wanted;
    d[0] = (x >= 0.0 ? 1.0 : v7) / (1.0 + v7);
    return z;
}

static double compute_relu(const double *args)
{
    double x = args[0];
    return x <= 0.0 ? 0.0 : x;
}

static double record_relu(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = x <= 0.0 ? 0.0 : x;
    (void)wanted;
    d[0] = x > 0.0 ? 1.0 : z;
    return z;
}

static double compute_leaky_relu(const double *args)
{
    double x = args[0], y = args[1];
    return x > 0.0 ? x : (y * x);
}

static double record_leaky_relu(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double z = x > 0.0 ? x : (y * x);
    d[0] = wanted & 1u ? z == z ? (x > 0.0 ? 1.0 : y) : z : 0.0;
    d[1] = wanted & 2u ? z == z ? (x > 0.0 ? 0.0 : x) : z : 0.0;
    return z;
}

static double compute_silu(const double *args)
{
    double x = args[0];
    double v4 = exp(-fabs(x));
    return x == -INFINITY ? -0.0 : (x * ((x >= 0.0 ? 1.0 : v4) / (1.0 + v4)));
}

static double record_silu(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double v4 = exp(-fabs(x));
    double v8 = (x >= 0.0 ? 1.0 : v4) / (1.0 + v4);
    double z = x == -INFINITY ? -0.0 : (x * v8);
    double v13 = -x;
    double v16 = exp(-fabs(v13));
    (void)wanted;
    d[0] = v8 + ((z < INFINITY ? z : 0.0) * ((v13 >= 0.0 ? 1.0 : v16) / (1.0 + v16)));
    return z;
}

static double compute_gelu(const double *args)
{
    double x = args[0];
    return x == -INFINITY ? -0.0 : ((0.5 * x) * erfc((-x) * 0.7071067811865476));
}

static double record_gelu(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double v2 = 0.5 * x;
    double v5 = erfc((-x) * 0.7071067811865476);
    double z = x == -INFINITY ? -0.0 : (v2 * v5);
    double v15 = floor((64.0 * v2) + 0.5) / 64.0;
    double v28 = fabs(v2) < 28.0 ? (exp((-v15) * v15) * exp((v15 - v2) * (v15 + v2))) : (v2 == v2 ? 0.0 : v2);
    (void)wanted;
    d[0] = (0.5 * v5) + ((fabs(x) < INFINITY ? x : 0.0) * ((v28 * v28) / 2.5066282746310002));
    return z;
}

static double compute_identity(const double *args)
{
    double x = args[0];
    return x;
}

static double record_identity(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    (void)wanted;
    d[0] = 1.0;
    return x;
}

static double compute_stop_gradient(const double *args)
{
    double x = args[0];
    return x;
}

static double record_stop_gradient(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    (void)wanted;
    d[0] = 0.0;
    return x;
}

#define ROWS_OF_ONE(ROW) \
    ROW(neg) \
    ROW(exp) \
    ROW(exp2) \
    ROW(expm1) \
    ROW(log) \
    ROW(log2) \
    ROW(log10) \
    ROW(log1p) \
    ROW(sqrt) \
    ROW(cbrt) \
    ROW(sin) \
    ROW(cos) \
    ROW(tan) \
    ROW(asin) \
    ROW(acos) \
    ROW(atan) \
    ROW(sinh) \
    ROW(cosh) \
    ROW(tanh) \
    ROW(acosh) \
    ROW(atanh) \
    ROW(degrees) \
    ROW(radians) \
    ROW(_gaussian) \
    ROW(erf) \
    ROW(erfc) \
    ROW(abs) \
    ROW(sign) \
    ROW(floor) \
    ROW(ceil) \
    ROW(sigmoid) \
    ROW(softplus) \
    ROW(relu) \
    ROW(silu) \
    ROW(gelu) \
    ROW(identity) \
    ROW(stop_gradient)

#define ROWS_OF_TWO(ROW) \
    ROW(add) \
    ROW(sub) \
    ROW(mul) \
    ROW(div) \
    ROW(pow) \
    ROW(_fmod) \
    ROW(mod) \
    ROW(less) \
    ROW(less_equal) \
    ROW(greater) \
    ROW(greater_equal) \
    ROW(equal) \
    ROW(not_equal) \
    ROW(maximum) \
    ROW(minimum) \
    ROW(copysign) \
    ROW(leaky_relu)

#define ROWS_OF_THREE(ROW) \
    ROW(fma) \
    ROW(where) \
    ROW(clip)
