// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>

#include <parade/concepts/model.hpp>
#include <parade/kernels/loops.hpp>
#include <parade/kernels/simd.hpp>
#include <parade/models/factors.hpp>

namespace parade {

/// Matrix factorization with biases, for ratings of items by users (Koren, Bell, Volinsky 2009):
///
///   z = μ + b_u + c_i + ⟨p_u, q_i⟩            for user u and item i, p_u and q_i of r factors each
///   ∂z/∂μ = ∂z/∂b_u = ∂z/∂c_i = 1,   ∂z/∂p_u = q_i,   ∂z/∂q_i = p_u
///
///   const auto data = parade::DenseData<float>(pairs).with_targets(ratings);   // pairs (2,n): user and item of each rating; ratings (1,n)
///   parade::MatrixFactorization<float> model{6040, 3706, 16};                  // users, items, factors
///
/// With SquaredError it fits ratings, with Logistic whether an item was chosen. With r = 2, μ = 3, b_u = ½, c_i = −1, p_u = (1, 2), q_i =
/// (½, ¼): z = 2½ + 1 = 3½.
///
/// Input: X (2,m), the indices u ∈ {0 … users−1} and i ∈ {0 … items−1} as numbers. They are exact, since a float holds every whole number
/// up to 2²⁴, a double up to 2⁵³, and more users or items are refused. A Trainer refuses data with an index out of range, or not a whole number, as
/// `check_input` says it. The model itself then touches no memory: the score is NaN.
///
/// Parameters: `mean` μ (1), `user.bias` b (1,users), `item.bias` c (1,items), `user.factors` (r,users), `item.factors` (r,items). Only the
/// mean has Role::bias: the biases of a user with few ratings want to be regularized as the factors do, and the method says so. Mean and
/// biases start at 0, the factors uniformly random with standard deviation `deviation`, drawn by (seed, parameter, element).
///
/// A sample touches one column of each parameter, but the gradient is a dense vector (P) for each shard: the time of a step grows with
/// users + items. For many users, take large batches and few shards (`shard_size`). A column's gradient is its share of the batch's mean:
/// the rate that suits it is some users times that of a dense model, or an optimizer with a rate for each element.
///
/// Throws std::invalid_argument unless users, items and factors are at least 1 and users and items can be told apart by numbers of type
/// Scalar, OptionError for a deviation that is not above 0.
template <class Scalar_>
class MatrixFactorization {
 public:
  using Scalar = Scalar_;

  struct Workspace {
    Matrix<Scalar> scores;  // (1,m)
  };

  explicit MatrixFactorization(Index users, Index items, Index factors, double deviation = 0.1)
      : parameters_(blocks(users, items, factors)),
        users_(users),
        items_(items),
        factors_(factors),
        deviation_(detail::check_deviation("MatrixFactorization", deviation)) {}

  const ParameterList& parameters() const { return parameters_; }
  Index num_inputs() const { return 2; }
  Index num_outputs() const { return 1; }
  Index num_users() const { return users_; }
  Index num_items() const { return items_; }
  Index num_factors() const { return factors_; }  // r
  double deviation() const { return deviation_; }

  void initialize(VectorRef<Scalar> theta, std::uint64_t seed) const {
    theta.setZero();
    detail::initialize_factors<Scalar>(slice<Scalar>(theta, parameters_["user.factors"]), deviation_, seed, 0);
    detail::initialize_factors<Scalar>(slice<Scalar>(theta, parameters_["item.factors"]), deviation_, seed, 1);
  }

  /// "" or the rule that a sample (user, item) breaks.
  std::string check_input(const ConstVectorRef<Scalar>& x) const {
    if (x.size() != 2) return "a sample of MatrixFactorization must be an index of a user and one of an item";
    if (index(x[0], users_) < 0) return detail::text("the user must be a whole number in [0, ", users_ - 1, "]; got ", x[0]);
    if (index(x[1], items_) < 0) return detail::text("the item must be a whole number in [0, ", items_ - 1, "]; got ", x[1]);
    return {};
  }

  void reserve(Workspace& workspace, Index samples) const { workspace.scores.resize(1, samples); }

  ConstMatrixRef<Scalar> forward(const ConstVectorRef<Scalar>& theta, const ConstMatrixRef<Scalar>& x, Workspace& workspace) const {
    if (workspace.scores.cols() < x.cols()) reserve(workspace, x.cols());
    for (Index first = 0; first < x.cols(); first += detail::chains) {
      const Scalar *p[detail::chains], *q[detail::chains];
      Scalar z[detail::chains];
      for (int l = 0; l < detail::chains; ++l) {
        const Columns at = columns(x, std::min(first + l, x.cols() - 1));  // what is too many does the last sample again
        p[l] = theta.data() + (at.known ? at.user_factors : 0);            // of an unknown one any r numbers that there are
        q[l] = theta.data() + (at.known ? at.item_factors : 0);
        z[l] = at.known ? (theta[0] + theta[at.user_bias]) + theta[at.item_bias] : std::numeric_limits<Scalar>::quiet_NaN();
      }
      detail::add_inner_products(factors_, p, q, z);
      std::copy_n(z, std::min<Index>(detail::chains, x.cols() - first), workspace.scores.data() + first);
    }
    return workspace.scores.leftCols(x.cols());
  }

  void add_gradient(const ConstVectorRef<Scalar>& theta, const ConstMatrixRef<Scalar>& x, const ConstMatrixRef<Scalar>& dscores, Workspace&,
                    VectorRef<Scalar> grad) const {
    using V = kernels::Simd<Scalar>;
    for (Index j = 0; j < x.cols(); ++j) {
      const Columns at = columns(x, j);
      grad[0] += dscores(0, j);
      if (!at.known) continue;
      grad[at.user_bias] += dscores(0, j);
      grad[at.item_bias] += dscores(0, j);
      const auto slope = V::broadcast(dscores(0, j));
      const Scalar *p = theta.data() + at.user_factors, *q = theta.data() + at.item_factors;
      Scalar *to_p = grad.data() + at.user_factors, *to_q = grad.data() + at.item_factors;
      kernels::for_each_vector<Scalar>(factors_, [&](Index f, auto load, auto store) {
        store(to_p + f, V::fma(slope, load(q + f), load(to_p + f)));
        store(to_q + f, V::fma(slope, load(p + f), load(to_q + f)));
      });
    }
  }

 private:
  static ParameterList blocks(Index users, Index items, Index factors) {
    if (users < 1 || items < 1 || factors < 1)
      throw std::invalid_argument(
          detail::text("MatrixFactorization must have at least 1 user, 1 item and 1 factor; got ", users, ", ", items, " and ", factors));
    constexpr Index most = Index{1} << std::numeric_limits<Scalar>::digits;
    if (users > most || items > most)
      throw std::invalid_argument(detail::text("MatrixFactorization must have at most ", most, " users and items, the whole numbers that ",
                                               sizeof(Scalar) == 4 ? "float" : "double", " can tell apart; got ", users, " and ", items));
    return {{"mean", 1, 1, Role::bias},
            {"user.bias", 1, users},
            {"item.bias", 1, items},
            {"user.factors", factors, users},
            {"item.factors", factors, items}};
  }

  /// The whole number x in [0, size), else −1; NaN too.
  static Index index(Scalar x, Index size) {
    if (!(x >= 0 && x < static_cast<Scalar>(size))) return -1;
    const auto whole = static_cast<Index>(x);
    return static_cast<Scalar>(whole) == x ? whole : -1;
  }

  /// Where the parameters of a sample begin in θ and in g.
  struct Columns {
    bool known;
    Index user_bias, item_bias, user_factors, item_factors;
  };
  Columns columns(const ConstMatrixRef<Scalar>& x, Index j) const {
    const Index u = index(x(0, j), users_), i = index(x(1, j), items_);
    const Index item_bias = 1 + users_, user_factors = item_bias + items_, item_factors = user_factors + factors_ * users_;
    return {u >= 0 && i >= 0, 1 + u, item_bias + i, user_factors + factors_ * u, item_factors + factors_ * i};
  }

  ParameterList parameters_;
  Index users_, items_, factors_;
  double deviation_;
};

static_assert(ChecksInput<MatrixFactorization<float>> && ChecksInput<MatrixFactorization<double>>);
static_assert(Model<MatrixFactorization<float>> && Model<MatrixFactorization<double>>);

}  // namespace parade
