// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include <parade/concepts/model.hpp>
#include <parade/concepts/sparse.hpp>
#include <parade/kernels/loops.hpp>
#include <parade/kernels/product.hpp>
#include <parade/kernels/simd.hpp>
#include <parade/models/factors.hpp>

namespace parade {
namespace detail {

/// A factorization machine behind the sums over the features of a sample: of every output's factors s_f = Σ_i v_fi x_i and q_f = Σ_i (v_fi x_i)² (kr
/// each), and the linear parts Σ_i w_i x_i (k) under them. For each output
///
///   z = w0 + Σ_i w_i x_i + ½ Σ_f (s_f² − q_f)
///
/// Parameters: `bias` (k). Slopes: s (kr), ∂J/∂z (k).
template <class Scalar_>
class FactorizationMachineRemainder {
 public:
  using Scalar = Scalar_;
  struct Workspace {
    Matrix<Scalar> scores;  // (k,m)
    Matrix<Scalar> slopes;  // (kr+k,m)
  };

  FactorizationMachineRemainder(Index factors, Index outputs)
      : parameters_{{"bias", outputs, 1, Role::bias}}, factors_(factors), outputs_(outputs) {}

  const ParameterList& parameters() const { return parameters_; }
  Index num_inputs() const { return 2 * rows() + outputs_; }
  Index num_outputs() const { return outputs_; }
  Index num_slopes() const { return rows() + outputs_; }
  void initialize(VectorRef<Scalar> theta, std::uint64_t) const { theta.setZero(); }

  void reserve(Workspace& workspace, Index samples) const {
    workspace.scores.resize(outputs_, samples);
    workspace.slopes.resize(num_slopes(), samples);
  }

  ConstMatrixRef<Scalar> forward(const ConstVectorRef<Scalar>& theta, const ConstMatrixRef<Scalar>& sums, Workspace& workspace) const {
    const Index m = sums.cols();
    if (workspace.scores.cols() < m) reserve(workspace, m);
    for (Index j = 0; j < m; ++j) {
      const Scalar *s = sums.data() + j * sums.outerStride(), *q = s + rows(), *linear = q + rows();
      for (Index o = 0; o < outputs_; ++o) {
        Scalar twice = 0;
        for (Index f = o * factors_; f < (o + 1) * factors_; ++f) twice += std::fma(s[f], s[f], -q[f]);
        workspace.scores(o, j) = std::fma(Scalar{0.5}, twice, theta[o] + linear[o]);
      }
    }
    return workspace.scores.leftCols(m);
  }

  void add_gradient(const ConstVectorRef<Scalar>&, const ConstMatrixRef<Scalar>& sums, const ConstMatrixRef<Scalar>& dscores, Workspace&,
                    VectorRef<Scalar> grad) const {
    for (Index j = 0; j < sums.cols(); ++j)
      for (Index o = 0; o < outputs_; ++o) grad[o] += dscores(o, j);
  }

  ConstMatrixRef<Scalar> slopes(const ConstMatrixRef<Scalar>& sums, const ConstMatrixRef<Scalar>& dscores, Workspace& workspace) const {
    const Index m = sums.cols();
    for (Index j = 0; j < m; ++j) {
      std::copy_n(sums.data() + j * sums.outerStride(), rows(), &workspace.slopes(0, j));
      std::copy_n(dscores.data() + j * dscores.outerStride(), outputs_, &workspace.slopes(rows(), j));
    }
    return workspace.slopes.leftCols(m);
  }

 private:
  Index rows() const { return outputs_ * factors_; }  // kr

  ParameterList parameters_;
  Index factors_, outputs_;
};

}  // namespace detail

/// Factorization machine of second order (Rendle 2010): a linear model and the interaction of every two features, whose weight is the inner
/// product of the features' factors v_i (r). For each output
///
///   z = w0 + Σ_i w_i x_i + Σ_{i<l} ⟨v_i, v_l⟩ x_i x_l
///     = w0 + Σ_i w_i x_i + ½ [ Σ_f (Σ_i v_fi x_i)² − Σ_i ‖v_i‖² x_i² ]
///
///   ∂z/∂w0 = 1,   ∂z/∂w_i = x_i,   ∂z/∂v_fi = x_i Σ_l v_fl x_l − v_fi x_i²
///
///   parade::FactorizationMachine<float> model{1000, 8};        // features, factors
///   parade::FactorizationMachine<float> other{1000, 8, 10};    // and outputs, which share nothing
///
/// The second form takes d r products a sample instead of d² r / 2. With d = 2, r = 1, w0 = 1, w = (2, 3), v = (1, 2): z = 1 + 5 + 2 = 8 at
/// x = (1, 1).
///
/// Parameters: `bias` (k), `weight` (k,d), `factors` (k r,d), of which the rows o r … o r + r − 1 belong to output o. Bias and weights
/// start at 0, the factors uniformly random, drawn by (seed, element), with standard deviation `deviation`. By default that is 0.1, as in
/// libFM, but at most 1 / (√d ∜r): beyond, the sum over the pairs of d features of size 1 would start larger than about 1.
///
/// Sparse rows (SparseRows) are taken too: what a step or a score costs then follows the entries, not d.
///
/// Domain: x ∈ ℝᵈ, |x_i| below the square root of the largest number. A factor and a weight of features that are 0 in a sample get nothing
/// from it.
/// Throws std::invalid_argument unless features, factors and outputs are at least 1, OptionError for a deviation that is not above 0.
template <class Scalar_>
class FactorizationMachine {
 public:
  using Scalar = Scalar_;

  struct Workspace {
    Matrix<Scalar> sums;     // Σ_i v_fi x_i (kr,m), and under it w0 + Σ_i w_i x_i (k,m)
    Matrix<Scalar> squares;  // x² (d,m)
    Matrix<Scalar> scores;   // (k,m)
    Matrix<Scalar> deltas;   // ∂J/∂z Σ_i v_fi x_i (kr,m)
    Matrix<Scalar> weights;  // Σ_j ∂J/∂z_j x_ij² (d,k)
  };
  struct Prepared {
    Vector<Scalar> linear;   // V over W (kr+k,d) packed
    Vector<Scalar> start;    // 0 (kr) over w0 (k)
    Vector<Scalar> squares;  // ‖v_i‖² of each output (k,d) packed
    Matrix<Scalar> factors;  // V (kr,d)
    Matrix<Scalar> norms;    // ‖v_i‖² of each output (k,d)
  };

  explicit FactorizationMachine(Index features, Index factors, Index outputs = 1)
      : FactorizationMachine(features, factors, outputs, usual_deviation(features, factors)) {}
  FactorizationMachine(Index features, Index factors, Index outputs, double deviation)
      : parameters_(blocks(features, factors, outputs)),
        inputs_(features),
        factors_(factors),
        outputs_(outputs),
        bias_(parameters_["bias"].offset),
        weight_(parameters_["weight"].offset),
        factor_(parameters_["factors"].offset),
        deviation_(detail::check_deviation("FactorizationMachine", deviation)) {}

  const ParameterList& parameters() const { return parameters_; }
  Index num_inputs() const { return inputs_; }    // d
  Index num_outputs() const { return outputs_; }  // k
  Index num_factors() const { return factors_; }  // r
  double deviation() const { return deviation_; }

  void initialize(VectorRef<Scalar> theta, std::uint64_t seed) const {
    theta.setZero();
    detail::initialize_factors<Scalar>(slice<Scalar>(theta, parameters_["factors"]), deviation_, seed, 0);
  }

  void reserve(Prepared& prepared) const {
    prepared.linear.resize(kernels::packed_size<Scalar>(rows() + outputs_, inputs_));
    prepared.start = Vector<Scalar>::Zero(rows() + outputs_);
    prepared.squares.resize(kernels::packed_size<Scalar>(outputs_, inputs_));
    prepared.factors.resize(rows(), inputs_);
    prepared.norms.resize(outputs_, inputs_);
  }
  Index num_preparations() const { return (inputs_ + piece_features - 1) / piece_features; }
  void prepare(const ConstVectorRef<Scalar>& theta, Index piece, Prepared& prepared) const {
    const Index begin = piece * piece_features, end = std::min(begin + piece_features, inputs_);
    if (piece == 0) std::copy_n(theta.data() + bias_, outputs_, prepared.start.data() + rows());
    const Scalar* weight = theta.data() + weight_ + begin * outputs_;
    const Scalar* factors = theta.data() + factor_ + begin * rows();
    kernels::pack_part(rows() + outputs_, inputs_, {0, rows()}, {begin, end}, factors, Index{1}, rows(), prepared.linear.data());
    kernels::pack_part(rows() + outputs_, inputs_, {rows(), rows() + outputs_}, {begin, end}, weight, Index{1}, outputs_,
                       prepared.linear.data());
    std::copy_n(factors, (end - begin) * rows(), prepared.factors.data() + begin * rows());
    add_squares(
        end - begin, [&](Index i, Index o) { return &prepared.factors(o * factors_, begin + i); }, [](Index, Index) { return Scalar{0}; },
        [&](Index i, Index o, Scalar norm) { prepared.norms(o, begin + i) = norm; });
    kernels::pack_part(outputs_, inputs_, {0, outputs_}, {begin, end}, static_cast<const Scalar*>(&prepared.norms(0, begin)), Index{1},
                       outputs_, prepared.squares.data());
  }

  void reserve(Workspace& workspace, Index samples) const {
    workspace.sums.resize(rows() + outputs_, samples);
    workspace.squares.resize(inputs_, samples);
    workspace.scores.resize(outputs_, samples);
    workspace.deltas.resize(rows(), samples);
    workspace.weights.resize(inputs_, outputs_);
  }

  ConstMatrixRef<Scalar> forward(const Prepared& theta, const ConstMatrixRef<Scalar>& x, Workspace& workspace) const {
    using V = kernels::Simd<Scalar>;
    const Index m = x.cols(), all = rows() + outputs_;
    if (workspace.scores.cols() < m) reserve(workspace, m);
    for (Index j = 0; j < m; ++j) {
      const Scalar* from = x.data() + j * x.outerStride();
      Scalar* to = workspace.squares.data() + j * inputs_;
      kernels::for_each_vector<Scalar>(inputs_, [&](Index i, auto load, auto store) {
        const auto value = load(from + i);
        store(to + i, V::mul(value, value));
      });
    }
    kernels::product(all, m, inputs_, theta.linear.data(), x.data(), x.outerStride(), theta.start.data(), workspace.sums.data(),
                     all);  // (kr+k,m) = (kr+k) + (kr+k,d)(d,m)
    kernels::product(outputs_, m, inputs_, theta.squares.data(), workspace.squares.data(), inputs_, nullptr, workspace.scores.data(),
                     outputs_);  // (k,m) = (k,d)(d,m)
    add_squares(
        m, [&](Index j, Index o) { return &workspace.sums(o * factors_, j); }, [&](Index j, Index o) { return -workspace.scores(o, j); },
        [&](Index j, Index o, Scalar twice) { workspace.scores(o, j) = std::fma(Scalar{0.5}, twice, workspace.sums(rows() + o, j)); });
    return workspace.scores.leftCols(m);
  }

  void add_gradient(const Prepared& theta, const ConstMatrixRef<Scalar>& x, const ConstMatrixRef<Scalar>& dscores, Workspace& workspace,
                    VectorRef<Scalar> grad) const {
    backward(theta, x, dscores, workspace, grad.data(), kernels::Start::stored);
  }
  void gradient(const Prepared& theta, const ConstMatrixRef<Scalar>& x, const ConstMatrixRef<Scalar>& dscores, Workspace& workspace,
                VectorRef<Scalar> grad) const {
    backward(theta, x, dscores, workspace, grad.data(), kernels::Start::zero);
  }

  /// For sparse rows: see SumsFeatures. The factors' part of a gradient is x ∂J/∂z (s_f − x v_f), which is exactly 0 where the feature is alone.
  using SumsFeaturesOf = FactorizationMachine;
  static constexpr std::size_t num_feature_blocks = 2;
  const ParameterBlock& feature_block(std::size_t j) const { return parameters_[j == 0 ? "weight" : "factors"]; }
  Index num_sums() const { return 2 * rows() + outputs_; }
  detail::FactorizationMachineRemainder<Scalar> remainder() const { return {factors_, outputs_}; }
  void add_feature(Scalar x, const std::array<const Scalar*, 2>& theta, Scalar* __restrict sums) const {
    const Index kr = rows();
    const Scalar* __restrict weight = theta[0], * __restrict factors = theta[1];
    for (Index f = 0; f < kr; ++f) {
      const Scalar part = x * factors[f];
      sums[f] = std::fma(x, factors[f], sums[f]);
      sums[kr + f] = std::fma(part, part, sums[kr + f]);
    }
    for (Index o = 0; o < outputs_; ++o) sums[2 * kr + o] = std::fma(x, weight[o], sums[2 * kr + o]);
  }
  void add_feature_gradient(Scalar x, const std::array<const Scalar*, 2>& theta, const Scalar* __restrict slopes,
                            const std::array<Scalar*, 2>& grad) const {
    const Scalar* __restrict factors = theta[1], *dscores = slopes + rows();
    Scalar* __restrict weight_gradient = grad[0], * __restrict factor_gradient = grad[1];
    for (Index o = 0; o < outputs_; ++o) {
      const Scalar dx = x * dscores[o];
      weight_gradient[o] = std::fma(x, dscores[o], weight_gradient[o]);
      for (Index f = o * factors_; f < (o + 1) * factors_; ++f) {
        const Scalar own = std::fma(x, factors[f], Scalar{0});  // no product, which a compiler might make exact in the next line
        factor_gradient[f] = std::fma(dx, slopes[f] - own, factor_gradient[f]);
      }
    }
  }

 private:
  static constexpr Index piece_features = 64;

  static ParameterList blocks(Index features, Index factors, Index outputs) {
    if (features < 1 || factors < 1 || outputs < 1)
      throw std::invalid_argument(detail::text("FactorizationMachine must have at least 1 feature, 1 factor and 1 output; got ", features,
                                               ", ", factors, " and ", outputs));
    return {{"bias", outputs, 1, Role::bias}, {"weight", outputs, features}, {"factors", outputs * factors, features}};
  }
  static double usual_deviation(Index features, Index factors) {
    const double d = std::sqrt(static_cast<double>(std::max<Index>(features, 1)));
    return std::min(0.1, 1 / (d * std::sqrt(std::sqrt(static_cast<double>(std::max<Index>(factors, 1))))));
  }

  Index rows() const { return outputs_ * factors_; }  // kr

  /// store(j, o, start(j, o) + ‖v‖²), v the r elements from vector(j, o) on, for j < count and every output o.
  template <class VectorOf, class StartOf, class Store>
  void add_squares(Index count, const VectorOf& vector, const StartOf& start, const Store& store) const {
    for (Index o = 0; o < outputs_; ++o)
      for (Index first = 0; first < count; first += detail::chains) {
        const Scalar* v[detail::chains];
        Scalar sums[detail::chains];
        for (int l = 0; l < detail::chains; ++l) {
          const Index j = std::min(first + l, count - 1);  // what is too many does the last one again
          v[l] = vector(j, o);
          sums[l] = start(j, o);
        }
        detail::add_inner_products(factors_, v, v, sums);
        for (int l = 0; l < detail::chains && first + l < count; ++l) store(first + l, o, sums[l]);
      }
  }

  void backward(const Prepared& theta, const ConstMatrixRef<Scalar>& x, const ConstMatrixRef<Scalar>& dscores, Workspace& workspace,
                Scalar* grad, kernels::Start start) const {
    const Index m = x.cols(), ldx = x.outerStride(), ld = dscores.outerStride();
    for (Index j = 0; j < m; ++j)
      for (Index o = 0; o < outputs_; ++o)
        for (Index f = o * factors_; f < (o + 1) * factors_; ++f) workspace.deltas(f, j) = dscores(o, j) * workspace.sums(f, j);
    kernels::sum_columns(outputs_, m, dscores.data(), ld, grad + bias_, start);  // (k) += Σ_m
    kernels::outer_product(outputs_, inputs_, m, dscores.data(), ld, x.data(), ldx, grad + weight_, outputs_,
                           start);  // (k,d) += (k,m)(m,d)
    kernels::outer_product(rows(), inputs_, m, workspace.deltas.data(), rows(), x.data(), ldx, grad + factor_, rows(),
                           start);  // (kr,d) += (kr,m)(m,d)
    kernels::outer_product(inputs_, outputs_, m, workspace.squares.data(), inputs_, dscores.data(), ld, workspace.weights.data(), inputs_,
                           kernels::Start::zero);  // (d,k) = (d,m)(m,k)
    for (Index i = 0; i < inputs_; ++i)
      for (Index o = 0; o < outputs_; ++o) {
        const Scalar weight = -workspace.weights(i, o);
        const Scalar* v = &theta.factors(o * factors_, i);
        Scalar* g = grad + factor_ + i * rows() + o * factors_;
        for (Index f = 0; f < factors_; ++f) g[f] = std::fma(weight, v[f], g[f]);
      }
  }

  ParameterList parameters_;
  Index inputs_, factors_, outputs_;
  Index bias_, weight_, factor_;  // where the slices begin in θ and in g
  double deviation_;
};

static_assert(Model<FactorizationMachine<float>> && PreparesOnceAStep<FactorizationMachine<float>> &&
              OverwritesGradient<FactorizationMachine<float>>);
static_assert(Model<FactorizationMachine<double>>);
static_assert(SumsFeatures<FactorizationMachine<float>> && SumsFeatures<FactorizationMachine<double>>);

}  // namespace parade
