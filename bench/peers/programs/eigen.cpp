// SPDX-License-Identifier: MIT
// A hand-written loop of plain Eigen products, which Eigen shares out to its own threads.
#if defined(__GNUC__) && !defined(__clang__)  // false alarms of GCC 12 about the AVX-512 intrinsics in Eigen's products
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <string>

#include "hand_loop_peer.hpp"

namespace {

struct Library : bench::EigenProducts {
  static peers::Json about() {
    return {{"version",
             std::to_string(EIGEN_WORLD_VERSION) + '.' + std::to_string(EIGEN_MAJOR_VERSION) + '.' + std::to_string(EIGEN_MINOR_VERSION)},
            {"instructions", Eigen::SimdInstructionSetsInUse()}};
  }
  static void set_threads(int threads) { Eigen::setNbThreads(threads); }
};

}  // namespace

int main(int argc, char** argv) { return peers::serve<peers::HandLoopPeer<Library>>(argc, argv); }
