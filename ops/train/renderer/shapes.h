// The 26 objects: each stands on y = 0, is about one unit wide and says which part a point belongs to.
#pragma once
#include "solids.h"

enum Part { MAIN, SECOND, BARK, LEAF, PANE, GLOW, RUBBER, HUB };

struct Near { float distance; int part; };

DEVICE Near near_(float distance, int part) { Near n; n.distance = distance; n.part = part; return n; }
DEVICE Near closer(Near a, float distance, int part) {
  return distance < a.distance ? near_(distance, part) : a;
}
DEVICE Vec up(Vec p, float y) { return vec(p.x, p.y - y, p.z); }

DEVICE Near pyramid(Vec p, bool two) {
  float half = .60f, height = 1.12f, slant = 1.f / hypot2(height, half);
  float side = ((high(fabsf(p.x), fabsf(p.z)) - half) * height + p.y * half) * slant;
  return near_(high(side, -p.y), two && p.y > .62f ? SECOND : MAIN);
}
DEVICE Near diamond(Vec p) {
  float r = hypot2(p.x, p.z), x = r * cosf(sector(p.z, p.x, 8.f));
  float pavilion = x * .78f - p.y * .62f, crown = (x - .62f) * .62f + (p.y - .80f) * .78f;
  return near_(high(high(pavilion, crown), p.y - 1.02f), MAIN);
}
DEVICE Near bottle(Vec p) {
  float body = cylinder(up(p, .48f), .32f, .48f, .06f);
  float shoulder = frustum(up(p, 1.04f), .11f, .26f, .13f) - .02f, neck = cylinder(up(p, 1.2f), .13f, .1f, .01f);
  Near n = near_(low(low(body, shoulder), neck), MAIN);
  return closer(n, cylinder(up(p, 1.35f), .165f, .09f, .02f), SECOND);
}
DEVICE Near mug(Vec p, bool two) {
  float r = hypot2(p.x, p.z), wall = cylinder(up(p, .48f), .43f, .48f, .03f);
  wall = high(wall, -cylinder(up(p, .56f), .36f, .48f, .02f));
  Near n = near_(wall, two && r < .385f && p.y > .1f ? SECOND : MAIN);
  float handle = torus(p.z, hypot2(p.x - .46f, p.y - .48f), .23f, .065f);
  return closer(n, high(handle, .40f - r), two ? SECOND : MAIN);
}
DEVICE Near vase(Vec p, bool two) {
  float y = clip(p.y, 0.f, 1.35f), r = hypot2(p.x, p.z);
  float profile = .28f + .15f * sinf(y * 3.1f + .1f) + .11f * ramp(1.08f, 1.35f, y);
  float body = high((r - profile) * .7f, high(-p.y, p.y - 1.35f));
  float hollow = high((r - profile + .06f) * .7f, 1.f - p.y);
  return near_(high(body, -hollow), two && fabsf(p.y - .55f) < .16f ? SECOND : MAIN);
}
DEVICE Near bowl(Vec p, bool two) {
  float shell = high(high(fabsf(norm(up(p, .62f)) - .58f) - .035f, p.y - .62f), -p.y);
  Near n = near_(shell, two && norm(up(p, .62f)) < .58f ? SECOND : MAIN);
  return closer(n, cylinder(up(p, .04f), .26f, .045f, .01f), MAIN);
}
DEVICE Near mushroom(Vec p) {
  Vec q = up(p, .62f);
  float cap = high((norm(vec(q.x, q.y * 1.25f, q.z)) - .6f) * .8f, -q.y) - .02f;
  bool dot_ = hypot2(sector(q.z, q.x, 5.f) * .5f, (q.y - .20f) * 1.3f) < .10f || hypot2(q.x, q.z) < .13f;
  Near n = near_(cap, dot_ ? SECOND : MAIN);
  return closer(n, frustum(up(p, .33f), .33f, .21f, .15f) - .03f, SECOND);
}
DEVICE Near apple(Vec p) {
  float r = hypot2(p.x, p.z), y = p.y - .5f;
  Near n = near_((hypot2(r * (1.f + .12f * y) - .17f, y * .95f) - .42f) * .9f, MAIN);
  Vec stem = vec(p.x - .03f * (p.y - 1.f), p.y - 1.f, p.z);
  n = closer(n, cylinder(stem, .035f, .16f, .01f), BARK);
  Vec leaf = vec((p.x - .19f) * .55f, (p.y - 1.08f - .25f * (p.x - .19f)) * 2.2f, p.z * 1.1f);
  return closer(n, (norm(leaf) - .1f) * .45f, LEAF);
}
DEVICE Near tree(Vec p) {
  float d = low(frustum(up(p, .56f), .26f, .55f, .1f), frustum(up(p, .92f), .24f, .44f, .07f));
  Near n = near_(low(d, frustum(up(p, 1.26f), .22f, .33f, .01f)) - .015f, MAIN);
  return closer(n, cylinder(up(p, .18f), .1f, .18f, .01f), BARK);
}
DEVICE Near house(Vec p) {
  float ax = fabsf(p.x), walls = box(up(p, .36f), .52f, .36f, .42f, .01f);
  bool front = p.z > .40f, door = front && ax < .1f && p.y < .36f;
  bool window = front && fabsf(ax - .32f) < .09f && fabsf(p.y - .44f) < .1f;
  float roof = high(ax * .72f + (p.y - 1.22f) * .69f, high(.70f - p.y, fabsf(p.z) - .5f));
  return closer(near_(walls, door ? BARK : window ? PANE : MAIN), high(roof, ax - .64f), SECOND);
}
DEVICE Near lighthouse(Vec p) {
  int stripe = ((int)floorf(p.y / .22f)) & 1;
  Near n = near_(frustum(up(p, .55f), .55f, .32f, .19f), stripe ? SECOND : MAIN);
  n = closer(n, cylinder(up(p, 1.12f), .25f, .03f, .005f), RUBBER);
  n = closer(n, cylinder(up(p, 1.24f), .14f, .1f, .005f), GLOW);
  return closer(n, frustum(up(p, 1.42f), .1f, .2f, .02f), MAIN);
}
DEVICE Near gear(Vec p) {
  float y = p.y - .64f, r = hypot2(p.x, y), a = sector(y, p.x, 10.f);
  float along = r * cosf(a), across = fabsf(r * sinf(a));
  float tooth = high(across - .105f + .06f * (along - .5f), fabsf(along - .52f) - .12f);
  float flat = high(low(r - .5f, tooth), .2f - r);
  return near_(meet(flat, fabsf(p.z) - .14f, .015f) * .9f, MAIN);
}
DEVICE Near chair(Vec p, bool two) {
  float seat = box(up(p, .58f), .36f, .05f, .36f, .02f);
  float back = box(vec(p.x, p.y - 1.05f, p.z + .32f), .36f, .35f, .045f, .02f);
  float leg = box(vec(fabsf(p.x) - .3f, p.y - .28f, fabsf(p.z) - .3f), .045f, .28f, .045f, .01f);
  float post = box(vec(fabsf(p.x) - .3f, p.y - .65f, p.z + .32f), .045f, .1f, .04f, .01f);
  return closer(near_(low(seat, back), MAIN), low(leg, post), two ? SECOND : MAIN);
}
DEVICE Near lamp(Vec p) {
  float foot = low(cylinder(up(p, .04f), .27f, .04f, .02f), cylinder(up(p, .45f), .045f, .42f, .01f));
  float shade = frustum(up(p, 1.03f), .27f, .46f, .27f) - .01f;
  return closer(near_(foot, SECOND), high(shade, -frustum(up(p, 1.03f), .29f, .44f, .25f)), MAIN);
}
DEVICE Near rocket(Vec p) {
  float hull = (norm(vec(p.x, (p.y - .75f) * .42f, p.z)) - .275f) * .62f;
  bool pane = p.z > 0.f && hypot2(p.x, p.y - .86f) < .11f;
  Near n = near_(high(hull, .16f - p.y), p.y > 1.12f ? SECOND : pane ? PANE : MAIN);
  float r = hypot2(p.x, p.z), a = sector(p.x + p.z, p.x - p.z, 4.f), x = r * cosf(a), z = r * sinf(a);
  float fin = high((x - .2f) * .75f + (p.y - .5f) * .66f, -(x - .16f) * .5f - (p.y - .12f) * .85f);
  return closer(n, high(high(fin, fabsf(z) - .035f), high(x - .48f, -p.y)), SECOND);
}
DEVICE Near car(Vec p, bool two) {
  Near n = near_(box(up(p, .36f), .78f, .17f, .34f, .08f), MAIN);
  float taper = .25f * (p.y - .55f);
  bool glass = p.y > .56f && p.y < .70f && fabsf(p.x + .06f) > .04f;
  float cabin = box(vec(p.x + .06f, p.y - .60f, p.z), .42f - taper, .17f, .29f, .07f) * .9f;
  n = closer(n, cabin, glass ? PANE : two ? SECOND : MAIN);
  Vec wheel = vec(fabsf(p.x) - .46f, fabsf(p.z) - .30f, p.y - .2f);
  float rim = hypot2(wheel.x, wheel.z);
  return closer(n, cylinder(wheel, .2f, .075f, .03f), rim < .09f ? HUB : RUBBER);
}
DEVICE Near shape(Vec p, int id, bool two) {
  switch (id) {
    case 0: return near_(norm(up(p, .62f)) - .62f, two && odd_sector(p.z, p.x, 8.f) ? SECOND : MAIN);
    case 1: return near_(box(up(p, .52f), .52f, .52f, .52f, .03f),
                         two && (fabsf(p.x) < .1f || fabsf(p.z) < .1f) ? SECOND : MAIN);
    case 2: return near_(cylinder(up(p, .6f), .42f, .6f, .03f), two && fabsf(p.y - .6f) < .2f ? SECOND : MAIN);
    case 3: return near_(frustum(up(p, .62f), .6f, .58f, .02f) - .02f,
                         two && (((int)floorf(p.y / .27f)) & 1) ? SECOND : MAIN);
    case 4: return near_(torus(p.z, hypot2(p.x, p.y - .66f), .52f, .13f),
                         two && odd_sector(p.y - .66f, p.x, 10.f) ? SECOND : MAIN);
    case 5: return near_(torus(p.y - .23f, hypot2(p.x, p.z), .44f, .23f),
                         two && p.y < .24f + .035f * sinf(7.f * atan2f(p.z, p.x)) ? SECOND : MAIN);
    case 6: return near_(norm(up(p, clip(p.y, .34f, .96f))) - .34f, two && p.y < .65f ? SECOND : MAIN);
    case 7: return pyramid(p, two);
    case 8: return near_(meet(star(p.x, p.y - .58f, .70f, .32f), fabsf(p.z) - .15f, .02f), MAIN);
    case 9: return near_(1.12f * meet(heart(p.x / 1.12f, p.y / 1.12f), fabsf(p.z) / 1.12f - .18f, .06f), MAIN);
    case 10: return diamond(p);
    case 11: return bottle(p);
    case 12: return mug(p, two);
    case 13: return vase(p, two);
    case 14: return bowl(p, two);
    case 15: {
      float y = p.y - .58f, w = (1.f + .22f * y) * 1.12f;
      return near_((norm(vec(p.x * w, y * .86f, p.z * w)) - .5f) * .8f, two && fabsf(y) < .14f ? SECOND : MAIN);
    }
    case 16: return mushroom(p);
    case 17: return apple(p);
    case 18: return tree(p);
    case 19: return house(p);
    case 20: return lighthouse(p);
    case 21: return gear(p);
    case 22: return chair(p, two);
    case 23: return lamp(p);
    case 24: return rocket(p);
    default: return car(p, two);
  }
}
