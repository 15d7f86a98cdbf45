// The studio: what a scene holds, how its light falls, and the colour that a ray sees.
#pragma once
#include "shapes.h"

// Both structs are read straight from numpy records of the same names (ops/train/stage.py).
struct Object { float shape, two, scale, x, z, cos, sin, wood, metal, gloss; float main[3], second[3]; };
struct Scene {
  float count, elevation, distance, half_width, target, table, edge, vignette, grain;
  float sharpness, power, ambient, darkness;
  float background[3], wood[3], light[3];
  Object objects[3];
};
struct Seen { float distance; int object, part; };

DEVICE Vec local(const Object& o, Vec p) {
  float x = p.x - o.x, z = p.z - o.z;
  return vec((o.cos * x - o.sin * z) / o.scale, p.y / o.scale, (o.sin * x + o.cos * z) / o.scale);
}
DEVICE Near around(const Object& o, Vec p) {
  Near n = shape(local(o, p), (int)o.shape, o.two > .5f);
  n.distance *= o.scale;
  return n;
}
DEVICE Seen nearest(const Scene& s, Vec p) {
  Seen seen; seen.distance = 1e9f; seen.object = 0; seen.part = MAIN;
  for (int i = 0; i < (int)s.count; i++) {
    Near n = around(s.objects[i], p);
    if (n.distance < seen.distance) { seen.distance = n.distance; seen.object = i; seen.part = n.part; }
  }
  return seen;
}
// How far a ray passes every object's bounding ball, as a share of the way to it; below 0 it enters one.
DEVICE float clearance(const Scene& s, Vec from, Vec along) {
  float least = 1e9f;
  for (int i = 0; i < (int)s.count; i++) {
    const Object& o = s.objects[i];
    Vec to = vec(o.x, .70f * o.scale, o.z) - from;
    float ahead = high(dot(to, along), .05f);
    least = low(least, (norm(to - along * ahead) - 1.0f * o.scale) / ahead);
  }
  return least;
}
// The share of a broad lamp that p sees. Steps stay small and every distance is the true one: a shortcut
// through bounding volumes would print their outline into the penumbra as rings.
DEVICE float lit(const Scene& s, Vec p, Vec light) {
  if (clearance(s, p, light) > 1.2f / s.sharpness) return 1.f;
  float open = 1.f, t = .015f;
  for (int i = 0; i < 110 && t < 3.4f; i++) {
    float d = nearest(s, p + light * t).distance;
    open = low(open, s.sharpness * d / t);
    if (open < .002f) return 0.f;
    t += clip(d * .4f, .008f, .05f);
  }
  open = clip(open, 0.f, 1.f);
  return open * open * (3.f - 2.f * open);
}
DEVICE float grain(const Scene& s, float a, float b) {
  float ring = sinf(a * 16.f + 2.5f * sinf(b * 1.7f + s.grain) + 1.5f * sinf(b * .6f + s.grain * 2.f));
  return .86f + .12f * ring + .05f * sinf(a * 47.f + 1.3f * b + s.grain);
}
DEVICE Vec backdrop(const Scene& s, float u, float v) {
  float fall = 1.f - s.vignette * (.30f * (u * u + v * v) - .08f * v);
  return vec(s.background) * high(fall, .25f);
}
DEVICE Vec floor_colour(const Scene& s) { return s.table > .5f ? vec(s.wood) : vec(s.background); }

// What polished metal mirrors: floor, wall, two upright strip lamps and the key light.
DEVICE Vec mirrored(const Scene& s, Vec r, Vec light) {
  Vec wall = blend(vec(s.background), vec(.55f, .56f, .58f), .65f);
  Vec c = blend(floor_colour(s) * .85f, wall, ramp(-.12f, .12f, r.y));
  c = c * blend(.40f, 1.f, ramp(0.f, .3f, fabsf(r.y - .03f)));
  float left = ramp(.62f, .70f, -r.x) * (1.f - ramp(.86f, .93f, -r.x)) * .8f;
  float right = ramp(.70f, .78f, r.x) * (1.f - ramp(.90f, .95f, r.x)) * .5f;
  float lamps = (left + right) * ramp(-.35f, .1f, r.y) + ramp(.80f, .95f, dot(r, light)) * 1.5f;
  return c + vec(lamps, lamps, lamps);
}
DEVICE Vec pigment(const Scene& s, const Object& o, int part, Vec p) {
  switch (part) {
    case MAIN: {
      if (o.wood < .5f) return vec(o.main);
      Vec q = local(o, p);
      return vec(o.main) * grain(s, q.x * .7f + q.z * .25f, q.y * 2.f);
    }
    case SECOND: return vec(o.second);
    case BARK: return vec(.16f, .075f, .03f);
    case LEAF: return vec(.06f, .32f, .05f);
    case PANE: return vec(.30f, .52f, .70f);
    case GLOW: return vec(1.1f, .9f, .35f);
    case RUBBER: return vec(.035f, .035f, .04f);
    default: return vec(.5f, .5f, .52f);
  }
}
DEVICE Vec normal(const Object& o, Vec p) {
  const float e = .002f;
  Vec a = vec(1, -1, -1), b = vec(-1, -1, 1), c = vec(-1, 1, -1), d = vec(1, 1, 1);
  return unit(a * around(o, p + a * e).distance + b * around(o, p + b * e).distance +
              c * around(o, p + c * e).distance + d * around(o, p + d * e).distance);
}
DEVICE float openness(const Scene& s, Vec p, Vec n) {
  float shut = 0.f, weight = 1.f;
  for (int i = 1; i <= 3; i++, weight *= .6f) {
    Vec q = p + n * (.07f * i);
    shut += weight * (.07f * i - low(nearest(s, q).distance, q.y));
  }
  return clip(1.f - 1.8f * shut, .15f, 1.f);
}
DEVICE Vec surface(const Scene& s, Seen hit, Vec p, Vec ray, Vec light) {
  const Object& o = s.objects[hit.object];
  Vec colour = pigment(s, o, hit.part, p), n = normal(o, p), white = vec(1.f, 1.f, 1.f);
  if (hit.part == GLOW) return colour;
  float metal = hit.part <= SECOND && (hit.part == MAIN || o.two > .5f) ? o.metal : 0.f;
  float gloss = hit.part == PANE ? .8f : hit.part == MAIN ? o.gloss : .25f;
  float sun = lit(s, p + n * .012f, light) * .85f + .15f, open = openness(s, p, n);
  float facing = high(dot(n, light), 0.f) * sun, grazing = powf(1.f - clip(-dot(n, ray), 0.f, 1.f), 4.f);
  Vec bounce = blend(floor_colour(s), vec(.5f, .5f, .5f), .55f) * .8f;
  Vec ambient = blend(bounce, white, .5f + .5f * n.y) * (s.ambient * open);
  Vec mirror = mirrored(s, ray - n * (2.f * dot(ray, n)), light);
  float spot = powf(high(dot(n, unit(light - ray)), 0.f), blend(12.f, 140.f, gloss)) * gloss * 1.1f * sun;
  Vec matt = colour * (ambient + white * (facing * s.power)) +
             mirror * (gloss * (.03f + .35f * grazing) * open) + white * spot;
  Vec polished = colour * mirror * ((.35f + .65f * open) * (.82f + .18f * sun)) + colour * (facing * .22f) +
                 white * (spot * .7f);
  return blend(matt, polished, metal);
}
DEVICE Vec ground(const Scene& s, Vec p, Vec light, float u, float v) {
  float shadow = blend(1.f, lit(s, p + vec(0.f, .004f, 0.f), light), s.darkness), contact = 1.f;
  if (clearance(s, p, vec(0.f, 1.f, 0.f)) < 8.f) {
    float near_by = nearest(s, vec(p.x, .09f, p.z)).distance, wide = nearest(s, vec(p.x, .26f, p.z)).distance;
    contact = .5f * ramp(0.f, .10f, near_by) + .5f * ramp(0.f, .30f, wide);
  }
  float light_left = shadow * blend(.55f, 1.f, contact);
  if (s.table < .5f) return backdrop(s, u, v) * light_left;
  float board = p.z * 1.1f + s.grain, gap = fabsf(board - floorf(board + .5f));
  float tone = sinf(floorf(board + .5f) * 12.9898f) * 43758.5453f;
  float wood = grain(s, p.z * .55f, p.x * 1.1f) * blend(.62f, 1.f, ramp(0.f, .03f, gap));
  wood *= .92f + .16f * (tone - floorf(tone));
  Vec top = vec(s.wood) * (wood * light_left * (1.f - s.vignette * .25f * (u * u + v * v)));
  return blend(top, backdrop(s, u, v) * .9f, ramp(s.edge - .03f, s.edge + .03f, -p.z));
}
// The colour seen along the picture coordinates (u right, v up; the shorter side spans -1..1).
DEVICE Vec look(const Scene& s, float u, float v) {
  float ce = cosf(s.elevation), se = sinf(s.elevation);
  Vec forward = vec(0.f, -se, -ce), upward = vec(0.f, ce, -se), light = vec(s.light);
  Vec eye = vec(0.f, s.target, 0.f) - forward * s.distance;
  Vec ray = unit(forward + vec(1.f, 0.f, 0.f) * (u * s.half_width) + upward * (v * s.half_width));
  float down = ray.y < -1e-4f ? -eye.y / ray.y : 1e9f, far = low(down, s.distance + 4.f);
  if (clearance(s, eye, ray) < .02f) {
    float t = high(s.distance - 2.6f, .05f);
    for (int i = 0; i < 90 && t < far; i++) {
      Seen hit = nearest(s, eye + ray * t);
      if (hit.distance < .0007f * t) return surface(s, hit, eye + ray * t, ray, light);
      t += hit.distance * .9f;
    }
  }
  return down < 40.f ? ground(s, eye + ray * down, light, u, v) : backdrop(s, u, v);
}
