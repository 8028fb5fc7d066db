/* Written by `python -m autograd._rows` from primitives.py. */

static double compute_add(const double *args)
{
    double x = args[0], y = args[1];
    return x + y;
}

static double compute_sub(const double *args)
{
    double x = args[0], y = args[1];
    return x - y;
}

static double compute_mul(const double *args)
{
    double x = args[0], y = args[1];
    return x * y;
}

static double compute_div(const double *args)
{
    double x = args[0], y = args[1];
    return x / y;
}

static double compute_neg(const double *args)
{
    double x = args[0];
    return -x;
}

static double compute__pow_less_one(const double *args)
{
    double x = args[0], y = args[1];
    double v2 = y - 1.0;
    double v10 = (v2 == y ? 0.0 : ((double)((v2 + 1.0) == y))) != 0.0 ? 0.0 : (fabs(x) == INFINITY ? 0.0 : x);
    return v10 == 0.0 ? power(x + 0.0, v2) : (power(x, y) / v10);
}

static double compute__pow_log(const double *args)
{
    double x = args[0], y = args[1];
    double v3 = fabs(power(x, y));
    double v4 = log(x);
    double v7 = fabs(v4);
    double v11 = v3 * v4;
    return x < 0.0 ? NAN : ((v3 < 2.2250738585072014e-308 ? 0.0 : ((double)(v3 < INFINITY))) != 0.0 ? v11 : (v7 < INFINITY ? ((v4 > 0.0 ? 1.0 : (v4 < 0.0 ? -1.0 : (v4 + 0.0))) * power(power(x, 0.5 * y) * sqrt(v7), 2.0)) : (v3 == 0.0 ? v3 : v11)));
}

static double compute_pow(const double *args)
{
    double x = args[0], y = args[1];
    return power(x, y);
}

static double compute_fmod(const double *args)
{
    double x = args[0], y = args[1];
    return fmod(x, y);
}

static double compute_mod(const double *args)
{
    double x = args[0], y = args[1];
    double v2 = fmod(x, y);
    return v2 == 0.0 ? (y < 0.0 ? -0.0 : 0.0) : (((double)(y < 0.0)) != ((double)(v2 < 0.0)) ? (v2 + y) : v2);
}

static double compute_fma(const double *args)
{
    double x = args[0], y = args[1], w = args[2];
    return fma(x, y, w);
}

static double compute_exp(const double *args)
{
    double x = args[0];
    return exp(x);
}

static double compute_exp2(const double *args)
{
    double x = args[0];
    return exp2(x);
}

static double compute_expm1(const double *args)
{
    double x = args[0];
    return expm1(x);
}

static double compute_log(const double *args)
{
    double x = args[0];
    return log(x);
}

static double compute_log2(const double *args)
{
    double x = args[0];
    return log2(x);
}

static double compute_log10(const double *args)
{
    double x = args[0];
    return log10(x);
}

static double compute_log1p(const double *args)
{
    double x = args[0];
    return log1p(x);
}

static double compute_log1mexp(const double *args)
{
    double x = args[0];
    return x > -0.6931471805599453 ? log(-expm1(x)) : log1p(-exp(x));
}

static double compute_xlogy(const double *args)
{
    double x = args[0], y = args[1];
    return x == 0.0 ? (y >= 0.0 ? 0.0 : NAN) : (x * log(y));
}

static double compute_sqrt(const double *args)
{
    double x = args[0];
    return sqrt(x);
}

static double compute_cbrt(const double *args)
{
    double x = args[0];
    return cbrt(x);
}

static double compute_sin(const double *args)
{
    double x = args[0];
    return sin(x);
}

static double compute_cos(const double *args)
{
    double x = args[0];
    return cos(x);
}

static double compute_tan(const double *args)
{
    double x = args[0];
    return tan(x);
}

static double compute__one_minus_square(const double *args)
{
    double x = args[0];
    return (1.0 - x) * (1.0 + x);
}

static double compute_asin(const double *args)
{
    double x = args[0];
    return asin(x);
}

static double compute_acos(const double *args)
{
    double x = args[0];
    return acos(x);
}

static double compute__atan_slope(const double *args)
{
    double x = args[0];
    double v1 = fabs(x);
    double v6 = 1.0 / v1;
    return v1 <= 1.0 ? (1.0 / (1.0 + (v1 * v1))) : (v6 / (v6 + v1));
}

static double compute_atan(const double *args)
{
    double x = args[0];
    return atan(x);
}

static double compute_sinh(const double *args)
{
    double x = args[0];
    return sinh(x);
}

static double compute_cosh(const double *args)
{
    double x = args[0];
    return cosh(x);
}

static double compute__tanh_slope(const double *args)
{
    double x = args[0];
    double v3 = exp(-2.0 * fabs(x));
    double v4 = 1.0 + v3;
    return 4.0 * (v3 / (v4 * v4));
}

static double compute_tanh(const double *args)
{
    double x = args[0];
    return tanh(x);
}

static double compute_acosh(const double *args)
{
    double x = args[0];
    return acosh(x);
}

static double compute_atanh(const double *args)
{
    double x = args[0];
    return atanh(x);
}

static double compute_degrees(const double *args)
{
    double x = args[0];
    return x * 57.29577951308232;
}

static double compute_radians(const double *args)
{
    double x = args[0];
    return x * 0.017453292519943295;
}

static double compute__gaussian(const double *args)
{
    double x = args[0];
    double v4 = floor((64.0 * x) + 0.5) / 64.0;
    return fabs(x) < 28.0 ? (exp((-v4) * v4) * exp((v4 - x) * (v4 + x))) : (x == x ? 0.0 : x);
}

static double compute_erf(const double *args)
{
    double x = args[0];
    return erf(x);
}

static double compute_erfc(const double *args)
{
    double x = args[0];
    return erfc(x);
}

static double compute_less(const double *args)
{
    double x = args[0], y = args[1];
    return (double)(x < y);
}

static double compute_less_equal(const double *args)
{
    double x = args[0], y = args[1];
    return (double)(x <= y);
}

static double compute_greater(const double *args)
{
    double x = args[0], y = args[1];
    return (double)(x > y);
}

static double compute_greater_equal(const double *args)
{
    double x = args[0], y = args[1];
    return (double)(x >= y);
}

static double compute_equal(const double *args)
{
    double x = args[0], y = args[1];
    return (double)(x == y);
}

static double compute_not_equal(const double *args)
{
    double x = args[0], y = args[1];
    return (double)(x != y);
}

static double compute_where(const double *args)
{
    double x = args[0], y = args[1], w = args[2];
    return x != 0.0 ? y : w;
}

static double compute__add_unless(const double *args)
{
    double x = args[0], y = args[1], w = args[2];
    return x != 0.0 ? y : (y + w);
}

static double compute_maximum(const double *args)
{
    double x = args[0], y = args[1];
    return x > y ? x : (x == x ? y : x);
}

static double compute_minimum(const double *args)
{
    double x = args[0], y = args[1];
    return x < y ? x : (x == x ? y : x);
}

static double compute_clip(const double *args)
{
    double x = args[0], y = args[1], w = args[2];
    double v6 = x > y ? x : (x == x ? y : x);
    return v6 < w ? v6 : (v6 == v6 ? w : v6);
}

static double compute_abs(const double *args)
{
    double x = args[0];
    return fabs(x);
}

static double compute_sign(const double *args)
{
    double x = args[0];
    return x > 0.0 ? 1.0 : (x < 0.0 ? -1.0 : (x + 0.0));
}

static double compute_floor(const double *args)
{
    double x = args[0];
    return floor(x);
}

static double compute_ceil(const double *args)
{
    double x = args[0];
    return ceil(x);
}

static double compute_trunc(const double *args)
{
    double x = args[0];
    return trunc(x);
}

static double compute_copysign(const double *args)
{
    double x = args[0], y = args[1];
    double v6 = fabs(x);
    return (y == 0.0 ? atan2(y, -1.0) : y) < 0.0 ? (-v6) : v6;
}

static double compute__sigmoid_slope(const double *args)
{
    double x = args[0];
    double v3 = exp(-fabs(x));
    double v4 = 1.0 + v3;
    return v3 / (v4 * v4);
}

static double compute_sigmoid(const double *args)
{
    double x = args[0];
    double v3 = exp(-fabs(x));
    return (x >= 0.0 ? 1.0 : v3) / (1.0 + v3);
}

static double compute_softplus(const double *args)
{
    double x = args[0];
    return (x > 0.0 ? x : (x == x ? 0.0 : x)) + log1p(exp(-fabs(x)));
}

static double compute_log_sigmoid(const double *args)
{
    double x = args[0];
    double v1 = -x;
    return -((v1 > 0.0 ? v1 : (v1 == v1 ? 0.0 : v1)) + log1p(exp(-fabs(x))));
}

static double compute_relu(const double *args)
{
    double x = args[0];
    return x <= 0.0 ? 0.0 : x;
}

static double compute_leaky_relu(const double *args)
{
    double x = args[0], y = args[1];
    return x > 0.0 ? x : (y * x);
}

static double compute__sigmoid_moment(const double *args)
{
    double x = args[0];
    double v1 = fabs(x);
    double v3 = exp(-0.5 * v1);
    double v9 = 1.0 + (v3 * v3);
    return (((v1 == INFINITY ? 0.0 : x) * v3) * v3) / (v9 * v9);
}

static double compute_silu(const double *args)
{
    double x = args[0];
    double v3 = exp(-0.5 * fabs(x));
    return x == -INFINITY ? -0.0 : ((x >= 0.0 ? x : ((x * v3) * v3)) / (1.0 + (v3 * v3)));
}

static double compute_gelu(const double *args)
{
    double x = args[0];
    return x == -INFINITY ? -0.0 : ((0.5 * x) * erfc((-x) * 0.7071067811865476));
}

static double compute__share(const double *args)
{
    double x = args[0], y = args[1];
    return x / ((x + y) + 5e-324);
}

static double compute__log_share(const double *args)
{
    double x = args[0], y = args[1];
    return x == -INFINITY ? x : (x - log1p((exp(x) - 1.0) + y));
}

static double compute_logaddexp(const double *args)
{
    double x = args[0], y = args[1];
    double v8 = x - y;
    return (x > y ? x : (x == x ? y : x)) + log1p(exp(-fabs(fabs(x) < INFINITY ? v8 : (x == y ? 0.0 : v8))));
}

static double compute_identity(const double *args)
{
    double x = args[0];
    return x;
}

static double compute_stop_gradient(const double *args)
{
    double x = args[0];
    return x;
}

#ifndef ONLY_VALUES

static double record_add(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double z = x + y;
    d[0] = wanted & 1u ? 1.0 : 0.0;
    d[1] = wanted & 2u ? 1.0 : 0.0;
    return z;
}

static double record_sub(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double z = x - y;
    d[0] = wanted & 1u ? 1.0 : 0.0;
    d[1] = wanted & 2u ? -1.0 : 0.0;
    return z;
}

static double record_mul(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double z = x * y;
    d[0] = wanted & 1u ? y : 0.0;
    d[1] = wanted & 2u ? x : 0.0;
    return z;
}

static double record_div(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double z = x / y;
    d[0] = wanted & 1u ? 1.0 / (y + 0.0) : 0.0;
    d[1] = wanted & 2u ? (-z) / y : 0.0;
    return z;
}

static double record_neg(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = -x;
    (void)wanted;
    d[0] = -1.0;
    return z;
}

static double record__pow_less_one(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double v2 = y - 1.0;
    double v6 = v2 == y ? 0.0 : ((double)((v2 + 1.0) == y));
    double v7 = fabs(x);
    double v9 = v7 == INFINITY ? 0.0 : x;
    double v10 = v6 != 0.0 ? 0.0 : v9;
    double v12 = x + 0.0;
    double z = v10 == 0.0 ? power(v12, v2) : (power(x, y) / v10);
    double v25 = power(x, v2);
    d[0] = 0.0;
    if (wanted & 1u) {
        double v17 = v2 - 1.0;
        double v22 = (v17 == v2 ? 0.0 : ((double)((v17 + 1.0) == v2))) != 0.0 ? 0.0 : v9;
        double v27 = v22 == 0.0 ? power(v12, v17) : (v25 / v22);
        double v32 = z == z ? ((v27 < INFINITY ? v2 : v2) * v27) : z;
        d[0] = v6 != 0.0 ? (v2 == 0.0 ? (v7 > 0.0 ? (v7 < INFINITY ? ((v2 / x) * z) : v32) : 0.0) : v32) : ((v2 * z) / (x == 0.0 ? 1.0 : x));
    }
    d[1] = 0.0;
    if (wanted & 2u) {
        double v46 = log(x);
        double v47 = fabs(v46);
        double v50 = fabs(v25);
        double v56 = v50 * v46;
        d[1] = v47 < INFINITY ? (z * v46) : (x < 0.0 ? NAN : ((v50 < 2.2250738585072014e-308 ? 0.0 : ((double)(v50 < INFINITY))) != 0.0 ? v56 : (v47 < INFINITY ? ((v46 > 0.0 ? 1.0 : (v46 < 0.0 ? -1.0 : (v46 + 0.0))) * power(power(x, 0.5 * v2) * sqrt(v47), 2.0)) : (v50 == 0.0 ? v50 : v56))));
    }
    return z;
}

static double record__pow_log(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double v2 = power(x, y);
    double v3 = fabs(v2);
    double v4 = log(x);
    double v7 = fabs(v4);
    double v8 = sqrt(v7);
    double v11 = v3 * v4;
    double v18 = v4 > 0.0 ? 1.0 : (v4 < 0.0 ? -1.0 : (v4 + 0.0));
    double z = x < 0.0 ? NAN : ((v3 < 2.2250738585072014e-308 ? 0.0 : ((double)(v3 < INFINITY))) != 0.0 ? v11 : (v7 < INFINITY ? (v18 * power(power(x, 0.5 * y) * v8, 2.0)) : (v3 == 0.0 ? v3 : v11)));
    d[0] = 0.0;
    if (wanted & 1u) {
        double v28 = y - 1.0;
        double v36 = (v28 == y ? 0.0 : ((double)((v28 + 1.0) == y))) != 0.0 ? 0.0 : (fabs(x) == INFINITY ? 0.0 : x);
        double v46 = fabs(power(x, v28));
        double v51 = v46 * v4;
        double v60 = x < 0.0 ? NAN : ((v46 < 2.2250738585072014e-308 ? 0.0 : ((double)(v46 < INFINITY))) != 0.0 ? v51 : (v7 < INFINITY ? (v18 * power(power(x, 0.5 * v28) * v8, 2.0)) : (v46 == 0.0 ? v46 : v51)));
        d[0] = v7 < INFINITY ? ((v36 == 0.0 ? power(x + 0.0, v28) : (v2 / v36)) * (1.0 + (y * v4))) : (y > 0.0 ? v60 : (y == 0.0 ? 0.0 : (-v60)));
    }
    d[1] = wanted & 2u ? z * (x == 0.0 ? -1.0 : (x == INFINITY ? 1.0 : v4)) : 0.0;
    return z;
}

static double record_pow(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double z = power(x, y);
    d[0] = 0.0;
    if (wanted & 1u) {
        double v3 = y - 1.0;
        double v8 = fabs(x);
        double v11 = (v3 == y ? 0.0 : ((double)((v3 + 1.0) == y))) != 0.0 ? 0.0 : (v8 == INFINITY ? 0.0 : x);
        double v16 = v11 == 0.0 ? power(x + 0.0, v3) : (z / v11);
        double v21 = z == z ? ((v16 < INFINITY ? y : y) * v16) : z;
        d[0] = y == 0.0 ? (v8 > 0.0 ? (v8 < INFINITY ? ((y / x) * z) : v21) : 0.0) : v21;
    }
    d[1] = 0.0;
    if (wanted & 2u) {
        double v30 = fabs(z);
        double v31 = log(x);
        double v34 = fabs(v31);
        double v38 = v30 * v31;
        d[1] = x < 0.0 ? NAN : ((v30 < 2.2250738585072014e-308 ? 0.0 : ((double)(v30 < INFINITY))) != 0.0 ? v38 : (v34 < INFINITY ? ((v31 > 0.0 ? 1.0 : (v31 < 0.0 ? -1.0 : (v31 + 0.0))) * power(power(x, 0.5 * y) * sqrt(v34), 2.0)) : (v30 == 0.0 ? v30 : v38)));
    }
    return z;
}

static double record_fmod(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double z = fmod(x, y);
    d[0] = wanted & 1u ? z == z ? 1.0 : z : 0.0;
    d[1] = wanted & 2u ? -floor(((x / y) - (z / y)) + 0.5) : 0.0;
    return z;
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

static double record_fma(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1], w = args[2];
    double z = fma(x, y, w);
    d[0] = wanted & 1u ? y : 0.0;
    d[1] = wanted & 2u ? x : 0.0;
    d[2] = wanted & 4u ? 1.0 : 0.0;
    return z;
}

static double record_exp(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = exp(x);
    (void)wanted;
    d[0] = z;
    return z;
}

static double record_exp2(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = exp2(x);
    (void)wanted;
    d[0] = z < INFINITY ? (z * 0.6931471805599453) : (exp2(x - 1.0) * 1.3862943611198906);
    return z;
}

static double record_expm1(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = expm1(x);
    (void)wanted;
    d[0] = exp(x);
    return z;
}

static double record_log(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = log(x);
    (void)wanted;
    d[0] = z == z ? (1.0 / (x + 0.0)) : z;
    return z;
}

static double record_log2(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = log2(x);
    (void)wanted;
    d[0] = z == z ? (1.4426950408889634 / (x + 0.0)) : z;
    return z;
}

static double record_log10(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = log10(x);
    (void)wanted;
    d[0] = z == z ? (0.43429448190325176 / (x + 0.0)) : z;
    return z;
}

static double record_log1p(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = log1p(x);
    (void)wanted;
    d[0] = z == z ? (1.0 / (1.0 + x)) : z;
    return z;
}

static double record_log1mexp(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double v2 = expm1(x);
    double v6 = -exp(x);
    double z = x > -0.6931471805599453 ? log(-v2) : log1p(v6);
    (void)wanted;
    d[0] = z == z ? (v6 / (0.0 - v2)) : z;
    return z;
}

static double record_xlogy(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double v5 = log(y);
    double z = x == 0.0 ? (y >= 0.0 ? 0.0 : NAN) : (x * v5);
    d[0] = wanted & 1u ? v5 : 0.0;
    d[1] = wanted & 2u ? z == z ? (y > 0.0 ? (x / y) : (x == 0.0 ? (0.0 - z) : (x / (y + 0.0)))) : z : 0.0;
    return z;
}

static double record_sqrt(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = sqrt(x);
    (void)wanted;
    d[0] = 0.5 / (z + 0.0);
    return z;
}

static double record_cbrt(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = cbrt(x);
    (void)wanted;
    d[0] = ((1.0 / z) / z) / 3.0;
    return z;
}

static double record_sin(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = sin(x);
    (void)wanted;
    d[0] = cos(x);
    return z;
}

static double record_cos(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = cos(x);
    (void)wanted;
    d[0] = -sin(x);
    return z;
}

static double record_tan(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = tan(x);
    (void)wanted;
    d[0] = 1.0 + (z * z);
    return z;
}

static double record__one_minus_square(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = (1.0 - x) * (1.0 + x);
    (void)wanted;
    d[0] = -2.0 * x;
    return z;
}

static double record_asin(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = asin(x);
    (void)wanted;
    d[0] = 1.0 / sqrt((1.0 - x) * (1.0 + x));
    return z;
}

static double record_acos(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = acos(x);
    (void)wanted;
    d[0] = -1.0 / sqrt((1.0 - x) * (1.0 + x));
    return z;
}

static double record__atan_slope(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double v1 = fabs(x);
    double v6 = 1.0 / v1;
    double z = v1 <= 1.0 ? (1.0 / (1.0 + (v1 * v1))) : (v6 / (v6 + v1));
    (void)wanted;
    d[0] = (-2.0 * ((v1 == INFINITY ? 0.0 : x) * z)) * z;
    return z;
}

static double record_atan(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = atan(x);
    double v2 = fabs(x);
    double v7 = 1.0 / v2;
    (void)wanted;
    d[0] = v2 <= 1.0 ? (1.0 / (1.0 + (v2 * v2))) : (v7 / (v7 + v2));
    return z;
}

static double record_sinh(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = sinh(x);
    (void)wanted;
    d[0] = cosh(x);
    return z;
}

static double record_cosh(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = cosh(x);
    (void)wanted;
    d[0] = sinh(x);
    return z;
}

static double record__tanh_slope(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double v3 = exp(-2.0 * fabs(x));
    double v4 = 1.0 + v3;
    double z = 4.0 * (v3 / (v4 * v4));
    (void)wanted;
    d[0] = (-2.0 * z) * tanh(x);
    return z;
}

static double record_tanh(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = tanh(x);
    double v4 = exp(-2.0 * fabs(x));
    double v5 = 1.0 + v4;
    (void)wanted;
    d[0] = 4.0 * (v4 / (v5 * v5));
    return z;
}

static double record_acosh(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = acosh(x);
    (void)wanted;
    d[0] = 1.0 / (sqrt(x - 1.0) * sqrt(x + 1.0));
    return z;
}

static double record_atanh(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = atanh(x);
    (void)wanted;
    d[0] = z == z ? (1.0 / ((1.0 - x) * (1.0 + x))) : z;
    return z;
}

static double record_degrees(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = x * 57.29577951308232;
    (void)wanted;
    d[0] = 57.29577951308232;
    return z;
}

static double record_radians(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = x * 0.017453292519943295;
    (void)wanted;
    d[0] = 0.017453292519943295;
    return z;
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

static double record_erf(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = erf(x);
    double v5 = floor((64.0 * x) + 0.5) / 64.0;
    (void)wanted;
    d[0] = 1.1283791670955126 * (fabs(x) < 28.0 ? (exp((-v5) * v5) * exp((v5 - x) * (v5 + x))) : (x == x ? 0.0 : x));
    return z;
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

static double record_less(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double z = (double)(x < y);
    d[0] = wanted & 1u ? 0.0 : 0.0;
    d[1] = wanted & 2u ? 0.0 : 0.0;
    return z;
}

static double record_less_equal(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double z = (double)(x <= y);
    d[0] = wanted & 1u ? 0.0 : 0.0;
    d[1] = wanted & 2u ? 0.0 : 0.0;
    return z;
}

static double record_greater(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double z = (double)(x > y);
    d[0] = wanted & 1u ? 0.0 : 0.0;
    d[1] = wanted & 2u ? 0.0 : 0.0;
    return z;
}

static double record_greater_equal(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double z = (double)(x >= y);
    d[0] = wanted & 1u ? 0.0 : 0.0;
    d[1] = wanted & 2u ? 0.0 : 0.0;
    return z;
}

static double record_equal(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double z = (double)(x == y);
    d[0] = wanted & 1u ? 0.0 : 0.0;
    d[1] = wanted & 2u ? 0.0 : 0.0;
    return z;
}

static double record_not_equal(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double z = (double)(x != y);
    d[0] = wanted & 1u ? 0.0 : 0.0;
    d[1] = wanted & 2u ? 0.0 : 0.0;
    return z;
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

static double record__add_unless(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1], w = args[2];
    double z = x != 0.0 ? y : (y + w);
    d[0] = wanted & 1u ? 0.0 : 0.0;
    d[1] = wanted & 2u ? 1.0 : 0.0;
    d[2] = wanted & 4u ? x != 0.0 ? 0.0 : 1.0 : 0.0;
    return z;
}

static double record_maximum(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double z = x > y ? x : (x == x ? y : x);
    d[0] = wanted & 1u ? x > y ? 1.0 : (x == y ? 0.5 : (x < y ? 0.0 : (x + y))) : 0.0;
    d[1] = wanted & 2u ? y > x ? 1.0 : (y == x ? 0.5 : (y < x ? 0.0 : (y + x))) : 0.0;
    return z;
}

static double record_minimum(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double z = x < y ? x : (x == x ? y : x);
    d[0] = wanted & 1u ? y > x ? 1.0 : (y == x ? 0.5 : (y < x ? 0.0 : (y + x))) : 0.0;
    d[1] = wanted & 2u ? x > y ? 1.0 : (x == y ? 0.5 : (x < y ? 0.0 : (x + y))) : 0.0;
    return z;
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

static double record_abs(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = fabs(x);
    (void)wanted;
    d[0] = x > 0.0 ? 1.0 : (x < 0.0 ? -1.0 : (x + 0.0));
    return z;
}

static double record_sign(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = x > 0.0 ? 1.0 : (x < 0.0 ? -1.0 : (x + 0.0));
    (void)wanted;
    d[0] = z == z ? 0.0 : z;
    return z;
}

static double record_floor(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = floor(x);
    (void)wanted;
    d[0] = z == z ? 0.0 : z;
    return z;
}

static double record_ceil(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = ceil(x);
    (void)wanted;
    d[0] = z == z ? 0.0 : z;
    return z;
}

static double record_trunc(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = trunc(x);
    (void)wanted;
    d[0] = z == z ? 0.0 : z;
    return z;
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

static double record__sigmoid_slope(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double v3 = exp(-fabs(x));
    double v4 = 1.0 + v3;
    double z = v3 / (v4 * v4);
    (void)wanted;
    d[0] = (-z) * tanh(0.5 * x);
    return z;
}

static double record_sigmoid(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double v3 = exp(-fabs(x));
    double v6 = 1.0 + v3;
    double z = (x >= 0.0 ? 1.0 : v3) / v6;
    (void)wanted;
    d[0] = v3 / (v6 * v6);
    return z;
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

static double record_log_sigmoid(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double v1 = -x;
    double v8 = exp(-fabs(x));
    double z = -((v1 > 0.0 ? v1 : (v1 == v1 ? 0.0 : v1)) + log1p(v8));
    (void)wanted;
    d[0] = (v1 >= 0.0 ? 1.0 : v8) / (1.0 + v8);
    return z;
}

static double record_relu(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double z = x <= 0.0 ? 0.0 : x;
    (void)wanted;
    d[0] = x > 0.0 ? 1.0 : z;
    return z;
}

static double record_leaky_relu(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double z = x > 0.0 ? x : (y * x);
    d[0] = wanted & 1u ? z == z ? (x > 0.0 ? 1.0 : y) : z : 0.0;
    d[1] = wanted & 2u ? z == z ? (x > 0.0 ? 0.0 : x) : z : 0.0;
    return z;
}

static double record__sigmoid_moment(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double v1 = fabs(x);
    double v3 = exp(-0.5 * v1);
    double v9 = 1.0 + (v3 * v3);
    double z = (((v1 == INFINITY ? 0.0 : x) * v3) * v3) / (v9 * v9);
    double v13 = exp(-v1);
    double v14 = 1.0 + v13;
    (void)wanted;
    d[0] = (v13 / (v14 * v14)) - (z * tanh(0.5 * x));
    return z;
}

static double record_silu(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    double v1 = fabs(x);
    double v3 = exp(-0.5 * v1);
    double v9 = 1.0 + (v3 * v3);
    double z = x == -INFINITY ? -0.0 : ((x >= 0.0 ? x : ((x * v3) * v3)) / v9);
    double v14 = exp(-v1);
    (void)wanted;
    d[0] = ((x >= 0.0 ? 1.0 : v14) / (1.0 + v14)) + ((((v1 == INFINITY ? 0.0 : x) * v3) * v3) / (v9 * v9));
    return z;
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
    d[0] = (0.5 * v5) + ((fabs(x) == INFINITY ? 0.0 : x) * ((v28 * v28) / 2.5066282746310002));
    return z;
}

static double record__share(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double v3 = (x + y) + 5e-324;
    double z = x / v3;
    d[0] = wanted & 1u ? (y / v3) / v3 : 0.0;
    d[1] = wanted & 2u ? ((-x) / v3) / v3 : 0.0;
    return z;
}

static double record__log_share(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double v3 = exp(x);
    double z = x == -INFINITY ? x : (x - log1p((v3 - 1.0) + y));
    d[0] = wanted & 1u ? y / ((y + v3) + 5e-324) : 0.0;
    d[1] = wanted & 2u ? -1.0 / (v3 + y) : 0.0;
    return z;
}

static double record_logaddexp(const double *args, double *d, unsigned wanted)
{
    double x = args[0], y = args[1];
    double v8 = x - y;
    double v11 = fabs(x) < INFINITY ? v8 : (x == y ? 0.0 : v8);
    double v14 = exp(-fabs(v11));
    double z = (x > y ? x : (x == x ? y : x)) + log1p(v14);
    d[0] = wanted & 1u ? z == -INFINITY ? 0.0 : ((v11 >= 0.0 ? 1.0 : v14) / (1.0 + v14)) : 0.0;
    d[1] = 0.0;
    if (wanted & 2u) {
        double v25 = y - x;
        double v28 = fabs(y) < INFINITY ? v25 : (y == x ? 0.0 : v25);
        double v31 = exp(-fabs(v28));
        d[1] = z == -INFINITY ? 0.0 : ((v28 >= 0.0 ? 1.0 : v31) / (1.0 + v31));
    }
    return z;
}

static double record_identity(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    (void)wanted;
    d[0] = 1.0;
    return x;
}

static double record_stop_gradient(const double *args, double *d, unsigned wanted)
{
    double x = args[0];
    (void)wanted;
    d[0] = 0.0;
    return x;
}

#endif

#define ROWS_OF_ONE(ROW) \
    ROW(neg) \
    ROW(exp) \
    ROW(exp2) \
    ROW(expm1) \
    ROW(log) \
    ROW(log2) \
    ROW(log10) \
    ROW(log1p) \
    ROW(log1mexp) \
    ROW(sqrt) \
    ROW(cbrt) \
    ROW(sin) \
    ROW(cos) \
    ROW(tan) \
    ROW(_one_minus_square) \
    ROW(asin) \
    ROW(acos) \
    ROW(_atan_slope) \
    ROW(atan) \
    ROW(sinh) \
    ROW(cosh) \
    ROW(_tanh_slope) \
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
    ROW(trunc) \
    ROW(_sigmoid_slope) \
    ROW(sigmoid) \
    ROW(softplus) \
    ROW(log_sigmoid) \
    ROW(relu) \
    ROW(_sigmoid_moment) \
    ROW(silu) \
    ROW(gelu) \
    ROW(identity) \
    ROW(stop_gradient)

#define ROWS_OF_TWO(ROW) \
    ROW(add) \
    ROW(sub) \
    ROW(mul) \
    ROW(div) \
    ROW(_pow_less_one) \
    ROW(_pow_log) \
    ROW(pow) \
    ROW(fmod) \
    ROW(mod) \
    ROW(xlogy) \
    ROW(less) \
    ROW(less_equal) \
    ROW(greater) \
    ROW(greater_equal) \
    ROW(equal) \
    ROW(not_equal) \
    ROW(maximum) \
    ROW(minimum) \
    ROW(copysign) \
    ROW(leaky_relu) \
    ROW(_share) \
    ROW(_log_share) \
    ROW(logaddexp)

#define ROWS_OF_THREE(ROW) \
    ROW(fma) \
    ROW(where) \
    ROW(_add_unless) \
    ROW(clip)
