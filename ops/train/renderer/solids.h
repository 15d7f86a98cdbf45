// Signed distances of elementary solids (after Inigo Quilez, "distance functions", iquilezles.org).
#pragma once
#include "vector.h"

// A corner-rounded section: d in the plane, the other coordinate's excess e.
DEVICE float meet(float d, float e, float round) {
  d += round; e += round;
  return low(high(d, e), 0.f) + hypot2(high(d, 0.f), high(e, 0.f)) - round;
}
DEVICE float box(Vec p, float a, float b, float c, float round) {
  Vec q = vec(fabsf(p.x) - a + round, fabsf(p.y) - b + round, fabsf(p.z) - c + round);
  float inside = low(high(q.x, high(q.y, q.z)), 0.f);
  return norm(vec(high(q.x, 0.f), high(q.y, 0.f), high(q.z, 0.f))) + inside - round;
}
// An upright cylinder of half height h, centred on p = 0.
DEVICE float cylinder(Vec p, float radius, float h, float round) {
  return meet(hypot2(p.x, p.z) - radius, fabsf(p.y) - h, round);
}
// An upright cone of half height h, cut at radius `top`.
DEVICE float frustum(Vec p, float h, float bottom, float top) {
  float r = hypot2(p.x, p.z), slope = top - bottom;
  float ax = r - low(r, p.y < 0.f ? bottom : top), ay = fabsf(p.y) - h;
  float t = clip(((top - r) * slope + (h - p.y) * 2.f * h) / (slope * slope + 4.f * h * h), 0.f, 1.f);
  float bx = r - top + slope * t, by = p.y - h + 2.f * h * t;
  float sign = (bx < 0.f && ay < 0.f) ? -1.f : 1.f;
  return sign * sqrtf(low(ax * ax + ay * ay, bx * bx + by * by));
}
DEVICE float torus(float axial, float planar, float major, float minor) {
  return hypot2(planar - major, axial) - minor;
}
DEVICE float star(float x, float y, float outer, float inner) {
  // Distance to the one edge from tip to notch, in the sector where all ten edges coincide.
  float a = fabsf(sector(x, y, 5.f)), r = hypot2(x, y);
  float px = r * sinf(a), py = r * cosf(a), half = .62831853f;
  float nx = inner * sinf(half), ny = inner * cosf(half) - outer;
  float t = clip((px * nx + (py - outer) * ny) / (nx * nx + ny * ny), 0.f, 1.f);
  float side = nx * (py - outer) - ny * px;
  return hypot2(px - nx * t, py - outer - ny * t) * (side > 0.f ? 1.f : -1.f);
}
DEVICE float heart(float x, float y) {
  x = fabsf(x);
  if (x + y > 1.f) return hypot2(x - .25f, y - .75f) - .35355339f;
  float m = .5f * high(x + y, 0.f), d = low(hypot2(x, y - 1.f), hypot2(x - m, y - m));
  return x > y ? d : -d;
}
