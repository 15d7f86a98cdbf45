// Small vector arithmetic shared by the CUDA and the C++ build of the renderer.
#pragma once
#include <math.h>
#include <stdint.h>

#ifdef __CUDACC__
#define DEVICE __device__ __forceinline__
#else
#define DEVICE static inline
#endif

struct Vec { float x, y, z; };

DEVICE Vec vec(float x, float y, float z) { Vec v; v.x = x; v.y = y; v.z = z; return v; }
DEVICE Vec vec(const float* c) { return vec(c[0], c[1], c[2]); }
DEVICE Vec operator+(Vec a, Vec b) { return vec(a.x + b.x, a.y + b.y, a.z + b.z); }
DEVICE Vec operator-(Vec a, Vec b) { return vec(a.x - b.x, a.y - b.y, a.z - b.z); }
DEVICE Vec operator*(Vec a, Vec b) { return vec(a.x * b.x, a.y * b.y, a.z * b.z); }
DEVICE Vec operator*(Vec a, float s) { return vec(a.x * s, a.y * s, a.z * s); }
DEVICE float dot(Vec a, Vec b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
DEVICE float hypot2(float a, float b) { return sqrtf(a * a + b * b + 1e-12f); }
DEVICE float norm(Vec a) { return sqrtf(dot(a, a) + 1e-12f); }
DEVICE Vec unit(Vec a) { return a * (1.f / norm(a)); }
DEVICE float low(float a, float b) { return a < b ? a : b; }
DEVICE float high(float a, float b) { return a > b ? a : b; }
DEVICE float clip(float x, float a, float b) { return low(high(x, a), b); }
DEVICE float blend(float a, float b, float t) { return a + (b - a) * t; }
DEVICE Vec blend(Vec a, Vec b, float t) { return a + (b - a) * t; }
DEVICE float ramp(float a, float b, float x) {
  float t = clip((x - a) / (b - a), 0.f, 1.f);
  return t * t * (3.f - 2.f * t);
}
// The angle of (x, y) folded into one of n equal sectors, in (-pi/n, pi/n].
DEVICE float sector(float y, float x, float n) {
  float width = 6.2831853f / n, a = atan2f(y, x);
  return a - width * floorf(a / width + .5f);
}
// Whether the direction (x, y) falls in an odd one of n equal sectors.
DEVICE bool odd_sector(float y, float x, float n) {
  return ((int)floorf((atan2f(y, x) / 6.2831853f + .5f) * n)) & 1;
}
