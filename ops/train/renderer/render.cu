// Draws batches of scenes as 8-bit sRGB; nvcc builds it for CUDA, g++ (as C++) for the CPU.
#include "studio.h"

// Linear light to display value: bright parts roll off above 0.8, then gamma 2.2.
DEVICE float display(float c) {
  c = clip(c, 0.f, 8.f);
  if (c > .8f) c = .8f + .2f * (1.f - expf(-(c - .8f) * 2.5f));
  return powf(clip(c, 0.f, 1.f), 1.f / 2.2f);
}
// One pixel, from four rays on a rotated grid: near-upright and near-level edges get four steps, not two.
DEVICE void pixel(const Scene& s, uint8_t* out, int x, int y, int width, int height) {
  const float dx[4] = {.125f, .625f, .375f, .875f}, dy[4] = {.625f, .875f, .125f, .375f};
  float half = .5f * (width < height ? width : height);
  Vec sum = vec(0.f, 0.f, 0.f);
  for (int i = 0; i < 4; i++) {
    Vec c = look(s, (x + dx[i] - .5f * width) / half, -(y + dy[i] - .5f * height) / half);
    sum = sum + vec(display(c.x), display(c.y), display(c.z));
  }
  out[0] = (uint8_t)(sum.x * 63.75f + .5f);
  out[1] = (uint8_t)(sum.y * 63.75f + .5f);
  out[2] = (uint8_t)(sum.z * 63.75f + .5f);
}

#ifdef __CUDACC__
__global__ void __launch_bounds__(256) draw(const Scene* scenes, uint8_t* out, int width, int height) {
  __shared__ Scene scene;
  for (int i = threadIdx.x; i < sizeof(Scene) / 4; i += blockDim.x)
    ((float*)&scene)[i] = ((const float*)(scenes + blockIdx.z))[i];
  __syncthreads();
  // A warp covers a patch of 8 x 4 pixels, so that its rays meet the same parts.
  int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
  int x = blockIdx.x * 16 + (warp & 1) * 8 + (lane & 7), y = blockIdx.y * 16 + (warp >> 1) * 4 + (lane >> 3);
  if (x < width && y < height)
    pixel(scene, out + (((size_t)blockIdx.z * height + y) * width + x) * 3, x, y, width, height);
}
extern "C" int render(const Scene* scenes, uint8_t* out, int count, int width, int height, void* stream) {
  for (int first = 0; first < count; first += 16384) {
    int part = count - first < 16384 ? count - first : 16384;
    dim3 grid((width + 15) / 16, (height + 15) / 16, part);
    draw<<<grid, 256, 0, (cudaStream_t)stream>>>(scenes + first, out + (size_t)first * width * height * 3,
                                                 width, height);
  }
  return (int)cudaGetLastError();
}
#else
extern "C" int render(const Scene* scenes, uint8_t* out, int count, int width, int height, void*) {
  for (size_t row = 0; row < (size_t)count * height; row++)
    for (int x = 0; x < width; x++)
      pixel(scenes[row / height], out + (row * width + x) * 3, x, (int)(row % height), width, height);
  return 0;
}
#endif
