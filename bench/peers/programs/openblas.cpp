// SPDX-License-Identifier: MIT
// The same loop with the products of OpenBLAS, on its own threads.
#if defined(__GNUC__) && !defined(__clang__)  // false alarms of GCC 12 about the AVX-512 intrinsics in Eigen
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <cblas.h>

#include "hand_loop_peer.hpp"

namespace {

using parade::ConstMatrixRef, parade::Matrix, parade::MatrixRef;

int narrow(parade::Index size) { return static_cast<int>(size); }

struct Library {
  template <class S>
  static void forward(const Matrix<S>& weight, const ConstMatrixRef<S>& x, MatrixRef<S> z) {
    product(CblasNoTrans, CblasNoTrans, weight.rows(), x.cols(), weight.cols(), weight, x, 0, z);  // (k,m) = (k,d)(d,m)
  }
  template <class S>
  static void input_gradient(const Matrix<S>& weight, const ConstMatrixRef<S>& delta, MatrixRef<S> below) {
    product(CblasTrans, CblasNoTrans, weight.cols(), delta.cols(), weight.rows(), weight, delta, 0, below);  // (d,m) = (d,k)(k,m)
  }
  template <class S>
  static void add_gradient(const ConstMatrixRef<S>& delta, const ConstMatrixRef<S>& x, Matrix<S>& sum) {
    product(CblasNoTrans, CblasTrans, delta.rows(), x.rows(), x.cols(), delta, x, 1, sum);  // (k,d) += (k,m)(m,d)
  }

  static peers::Json about() { return {{"version", openblas_get_config() + peers::threads_of_openblas(openblas_get_parallel())}}; }
  static void set_threads(int threads) { openblas_set_num_threads(threads); }

 private:
  static void product(CBLAS_TRANSPOSE a_transposed, CBLAS_TRANSPOSE b_transposed, parade::Index rows, parade::Index cols,
                      parade::Index inner, const ConstMatrixRef<float>& a, const ConstMatrixRef<float>& b, float beta,
                      MatrixRef<float> out) {
    cblas_sgemm(CblasColMajor, a_transposed, b_transposed, narrow(rows), narrow(cols), narrow(inner), 1, a.data(), narrow(a.outerStride()),
                b.data(), narrow(b.outerStride()), beta, out.data(), narrow(out.outerStride()));
  }
};

}  // namespace

int main(int argc, char** argv) { return peers::serve<peers::HandLoopPeer<Library>>(argc, argv); }
