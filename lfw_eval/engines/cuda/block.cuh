// Memory that the threads of a block share. Kernels are right for any size of block, one thread
// included: so they run on a CPU too (tests/rigs/cuda_on_cpu).
#pragma once

#ifdef __CUDACC__  // on a CPU the rig has it
// As many bytes as the launch says.
extern __shared__ float4 dynamic_shared[];
#endif
