// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <parade/concepts/loss.hpp>
#include <parade/concepts/sparse.hpp>
#include <parade/concepts/windowed.hpp>
#include <parade/core/batch.hpp>
#include <parade/core/error.hpp>
#include <parade/core/parameters.hpp>
#include <parade/core/report.hpp>
#include <parade/core/shard_plan.hpp>
#include <parade/engine/checks.hpp>
#include <parade/engine/reduce.hpp>
#include <parade/engine/sparse_rows_view.hpp>
#include <parade/engine/team.hpp>
#include <parade/kernels/finite.hpp>
#include <parade/kernels/groups.hpp>
#include <parade/train/evaluate.hpp>
#include <parade/train/sparse_evaluate.hpp>

namespace parade {

struct DualityGapOptions {
  Index sweeps = 50;  // passes of dual coordinate ascent for a loss whose slope jumps (Hinge); ≥ 0

  void check() const {
    if (sweeps < 0) throw OptionError(detail::text("sweeps must be at least 0; got ", sweeps));
  }
};

/// What has a duality gap: Z = W x + b, a loss that knows its conjugate (SquaredError, Huber, Logistic, SoftmaxCrossEntropy, Hinge, SquaredHinge), and
/// λ₂/2 ‖θ‖² + λ₁‖θ‖₁ (L2, L1, ElasticNet).
template <class M, class L, class R>
concept HasDualityGap = LinearModel<M> && Loss<L, double> &&(HasConjugate<L> || HasColumnConjugate<L>)&&HasShrinkage<R>;

namespace detail {

/// The features of one sample that are not known to be 0, in double: visit(feature, value), features rising.
template <class Scalar>
struct DenseRow {
  const Scalar* values;
  Index size;

  template <class Visit>
  void visit(Range features, const Visit& visit) const {
    for (Index j = features.begin; j < features.end; ++j) visit(j, static_cast<double>(values[j]));
  }
};
template <class Scalar, class Value>
struct SparseRow {
  const std::int32_t* indices;
  const Value* values;  // null: all are 1
  Index size;

  template <class Visit>
  void visit(Range features, const Visit& visit) const {
    const std::int32_t *first = indices, *last = indices + size;
    if (features.begin > 0) first = std::lower_bound(first, last, static_cast<std::int32_t>(features.begin));
    for (; first != last && *first < features.end; ++first)
      visit(Index{*first}, values ? static_cast<double>(static_cast<Scalar>(values[first - indices])) : 1.0);
  }
};

/// Samples in memory, as the model sees them.
template <class Scalar>
struct DensePiece {
  const DenseBatch<Scalar>& batch;

  auto row(Index j) const { return DenseRow<Scalar>{batch.x.data() + j * batch.x.rows(), batch.x.rows()}; }
  double weight(Index j) const { return batch.weights.size() > 0 ? batch.weights[j] : 1; }
  Label label(Index j) const { return batch.labels[j]; }
  double target(Index c, Index j) const { return static_cast<double>(batch.targets(c, j)); }
};
template <class Scalar, class D>
struct SparsePiece {
  const D& data;
  Index first;

  auto row(Index j) const {
    const SparseRowsView rows(data);
    const Index begin = rows.begin(first + j);
    return SparseRow<Scalar, typename D::Value>{rows.indices + begin, rows.values ? rows.values + begin : nullptr,
                                                rows.end(first + j) - begin};
  }
  double weight(Index j) const { return data.has_weights() ? data.weights()[first + j] : 1; }
  Label label(Index j) const { return data.labels()[first + j]; }
  double target(Index c, Index j) const { return static_cast<double>(static_cast<Scalar>(data.targets()(c, first + j))); }
};

/// A linear model, its data, and a point u of the dual problem: see duality_gap.
template <class M, class L, class D>
class DualProblem {
 public:
  using Scalar = typename M::Scalar;
  static constexpr bool labelled = std::is_same_v<typename L::Target, Label>;

  /// λ₂ and λ₁ of a block; 0 and 0 where it is not regularized.
  struct Terms {
    double l2 = 0, l1 = 0;
    bool is_free() const { return l2 == 0 && l1 == 0; }
    /// w that makes vw + ½λ₂w² + λ₁|w| least, λ₂ > 0.
    double minimizer(double v) const {
      const double size = std::abs(v) - l1;
      return size <= 0 ? 0 : -std::copysign(size / l2, v);
    }
    /// max(0, |v| − λ₁)²/(2λ₂): the conjugate at −v, λ₂ > 0.
    double conjugate(double v) const {
      const double size = std::max(std::abs(v) - l1, 0.0);  // in this order NaN stays NaN
      return kernels::product(size / l2 / 2, size);
    }
  };

  DualProblem(Team& team, const M& model, const L& loss, Terms weight, Terms bias, const Vector<Scalar>& theta, const D& data)
      : team_(team),
        loss_(loss),
        data_(data),
        k_(model.num_outputs()),
        d_(model.num_inputs()),
        n_(data.size()),
        has_bias_(model.parameters().contains("bias")),
        of_weight_(weight),
        of_bias_(bias),
        weight_(slice<Scalar>(ConstVectorRef<Scalar>(theta), model.parameters()["weight"]).template cast<double>()),
        bias_(Vector<double>::Zero(k_)),
        values_(n_),
        weights_(n_),
        slopes_(k_, n_),
        batches_(static_cast<std::size_t>(team.max_workers())) {
    if (has_bias_) bias_ = slice<Scalar>(ConstVectorRef<Scalar>(theta), model.parameters()["bias"]).template cast<double>().reshaped();
    if constexpr (labelled)
      targets_.resize(n_);
    else
      targets_.resize(k_, n_);
    evaluate();
    kernels::Sum total;
    for (Index i = 0; i < n_; ++i) total.add(weights_[i]);
    total_ = total.value();
  }

  /// (1/W) Σ w_i J_i + λR(θ)
  double primal() const {
    kernels::Sum loss, penalty;
    for (Index i = 0; i < n_; ++i) loss.add(kernels::product(weights_[i], values_[i]));
    const auto add = [](const auto& block, const Terms& terms, kernels::Sum& sum) {
      for (Index i = 0; i < block.size(); ++i) {
        const double w = block.data()[i];
        if (terms.l2 > 0) sum.add(kernels::product(terms.l2 / 2 * w, w));
        if (terms.l1 > 0) sum.add(kernels::product(terms.l1, std::abs(w)));
      }
    };
    add(weight_, of_weight_, penalty);
    add(bias_, of_bias_, penalty);
    return loss.value() / total_ + penalty.value();
  }

  /// The dual value at u, made feasible.
  double dual() {
    if constexpr (HasColumnConjugate<L>) balance();
    add_up();
    return feasible_value();
  }

  /// ‖(θ − prox(θ − α∇F(θ)))/α‖₂ at the slopes of θ.
  double residual(double step, bool l2_in_prox) {
    add_up();
    kernels::Sum squares;
    const auto add = [&](const auto& theta, const auto& up, const auto& down, const Terms& terms) {
      for (Index i = 0; i < theta.size(); ++i) {
        const double w = theta.data()[i], mean = (up.data()[i] + down.data()[i]) / total_;
        const double grad = l2_in_prox ? mean : std::fma(terms.l2, w, mean), to = std::fma(-step, grad, w);
        const double size = std::fma(-step, terms.l1, std::abs(to)) / (l2_in_prox ? std::fma(step, terms.l2, 1.0) : 1);
        const double moved = (w - (size <= 0 ? 0 : std::copysign(size, to))) / step;
        squares.add(kernels::product(moved, moved));
      }
    };
    add(weight_, up_, down_, of_weight_);
    if (has_bias_) add(bias_, bias_up_, bias_down_, of_bias_);
    return std::sqrt(squares.value());
  }

  /// The better of D(u), which is `value`, and of what is made of u by `sweeps` passes of ascend: with a bias that is not regularized half of
  /// them with a loose and half with a tight hold on it, since neither is always the better one. To be called after dual().
  double ascended(Index sweeps, double value) requires HasConjugateStep<L> {
    const double tight = of_weight_.l2, loose = std::max(tight, 0.1);
    const bool twice = has_bias_ && of_bias_.is_free() && loose > tight;
    Index left = sweeps;
    for (const double hold : {loose, tight}) {
      if (hold != tight && !twice) continue;
      const Index now = hold == tight ? left : (left + 1) / 2;
      left -= now;
      const Matrix<double> before = slopes_;
      ascend(now, hold);
      if (const double nearer = dual(); nearer > value) {
        value = nearer;
      } else if (left > 0) {
        slopes_ = before;
        add_up();
      }
    }
    return value;
  }

 private:
  /// Dual coordinate ascent from u: a sample after the other, each to its best slope. A bias that is not regularized, whose condition is Σ
  /// w_i u_i = 0, is kept near where the sweep before left it by μ/2 (b − b′)², μ being `hold`, which is the method of multipliers (Rockafellar
  /// 1976) with one sweep a turn. Needs λ₂ > 0, and the sums of add_up.
  void ascend(Index sweeps, double hold) requires HasConjugateStep<L> {
    Matrix<double> v = (up_ + down_) / total_;                  // (k,d)
    Vector<double> of_bias = (bias_up_ + bias_down_) / total_;  // (k)
    Vector<double> near = bias_;                                // b′ (k)
    const bool is_free = of_bias_.is_free();
    const double of_one = !has_bias_ ? 0 : is_free ? of_weight_.l2 / hold : 1;  // the bias's part of ‖x‖², over λ₂
    for (Index sweep = 0; sweep < sweeps; ++sweep) {
      bool moved = false;
      visit((n_ + evaluation_piece - 1) / evaluation_piece, [&](Index, int, Range samples, const auto& piece) {
        for (Index j = 0; j < samples.size(); ++j) {
          const Index i = samples.begin + j;
          if (weights_[i] == 0) continue;
          const auto row = piece.row(j);
          double squares = of_one;
          row.visit({0, d_}, [&](Index, double x) { squares = std::fma(x, x, squares); });
          const double share = weights_[i] / total_, bend = share * squares / of_weight_.l2;
          for (Index c = 0; c < k_; ++c) {
            double z = !has_bias_ ? 0 : is_free ? near[c] - of_bias[c] / hold : of_bias_.minimizer(of_bias[c]);
            row.visit({0, d_}, [&](Index feature, double x) { z = std::fma(of_weight_.minimizer(v(c, feature)), x, z); });
            const double next = loss_.conjugate_step(slopes_(c, i), target(c, i), z, bend);
            const double by = kernels::product(share, next - slopes_(c, i));
            if (by == 0) continue;
            moved = true;
            slopes_(c, i) = next;
            row.visit({0, d_}, [&](Index feature, double x) { v(c, feature) = std::fma(by, x, v(c, feature)); });
            of_bias[c] += by;
          }
        }
      });
      for (Index c = 0; has_bias_ && is_free && c < k_; ++c) {
        moved = moved || of_bias[c] != 0;
        near[c] -= of_bias[c] / hold;
      }
      if (!moved) return;
    }
  }

  /// work(task, worker, samples, piece) for every piece of 256 samples, where `task` is that of the piece: a task is that many pieces, one
  /// after the other; different tasks run in parallel.
  template <class Work>
  void visit(Index pieces_a_task, const Work& work) {
    for_each_window(data_, [&](const auto& data, Range part) {
      using Part = std::remove_cvref_t<decltype(data)>;
      const Index first = part.begin / evaluation_piece, last = (part.end + evaluation_piece - 1) / evaluation_piece;
      const Index first_task = first / pieces_a_task, last_task = (last - 1) / pieces_a_task;
      team_.for_each(last_task - first_task + 1, [&](Index at, int worker) {
        const Index task = first_task + at;
        for (Index p = std::max(first, task * pieces_a_task); p < std::min(last, (task + 1) * pieces_a_task); ++p) {
          const Range samples{p * evaluation_piece, std::min(part.end, (p + 1) * evaluation_piece)};
          if constexpr (SparseData<Part>) {
            work(task, worker, samples, SparsePiece<Scalar, Part>{data, samples.begin - part.begin});
          } else {
            auto& own = batches_[static_cast<std::size_t>(worker)];
            std::array<Index, evaluation_piece> indices;
            for (Index j = 0; j < samples.size(); ++j) indices[static_cast<std::size_t>(j)] = samples.begin + j;
            data.reserve(own, evaluation_piece);
            data.gather(std::span<const Index>(indices.data(), static_cast<std::size_t>(samples.size())), own);
            work(task, worker, samples, DensePiece<Scalar>{own});
          }
        }
      });
    });
  }

  /// Values and slopes of all samples. What has weight 0 has the slope and the value 0.
  void evaluate() {
    visit(1, [&](Index, int, Range samples, const auto& piece) {
      const Index m = samples.size();
      Matrix<double> scores(k_, m), slopes(k_, m);
      Vector<double> values(m);
      for (Index j = 0; j < m; ++j) {
        scores.col(j) = bias_;
        piece.row(j).visit({0, d_}, [&](Index feature, double x) {
          for (Index c = 0; c < k_; ++c) scores(c, j) = std::fma(weight_(c, feature), x, scores(c, j));
        });
        weights_[samples.begin + j] = piece.weight(j);
        if constexpr (labelled)
          targets_[samples.begin + j] = piece.label(j);
        else
          for (Index c = 0; c < k_; ++c) targets_(c, samples.begin + j) = piece.target(c, j);
      }
      if constexpr (labelled)
        loss_.value_and_gradient(ConstMatrixRef<double>(scores), TargetsRef<Label, double>(targets_.segment(samples.begin, m)),
                                 VectorRef<double>(values), MatrixRef<double>(slopes));
      else
        loss_.value_and_gradient(ConstMatrixRef<double>(scores), TargetsRef<Real, double>(targets_.middleCols(samples.begin, m)),
                                 VectorRef<double>(values), MatrixRef<double>(slopes));
      for (Index j = 0; j < m; ++j) {
        const bool counts = weights_[samples.begin + j] != 0;
        values_[samples.begin + j] = counts ? values[j] : 0;
        for (Index c = 0; c < k_; ++c) slopes_(c, samples.begin + j) = counts ? slopes(c, j) : 0;
      }
    });
  }

  /// For a bias that is not regularized, which asks for Σ w_i u_i = 0: classes that are too probable on average give up a share of their probability in
  /// every sample, and the others get what is free, each of them the same part of it in every sample.
  void balance() {
    if (!has_bias_ || !of_bias_.is_free()) return;
    const auto probability = [this](Index c, Index i) { return slopes_(c, i) + loss_.target_share(c, target(c, i), k_); };
    Vector<double> given_up = Vector<double>::Zero(k_), part = given_up;
    kernels::Sum wanted;
    for (Index c = 0; c < k_; ++c) {
      kernels::Sum excess, mean;
      for (Index i = 0; i < n_; ++i) {
        if (weights_[i] == 0) continue;
        excess.add(kernels::product(weights_[i], slopes_(c, i)));
        mean.add(kernels::product(weights_[i], probability(c, i)));
      }
      if (excess.value() > 0) given_up[c] = std::min(excess.value() / mean.value(), 1.0);
      if (excess.value() < 0) wanted.add(part[c] = -excess.value());
    }
    if (!(wanted.value() > 0)) return;
    part /= wanted.value();
    team_.for_each((n_ + evaluation_piece - 1) / evaluation_piece, [&](Index piece, int) {
      for (Index i = piece * evaluation_piece; i < std::min(n_, (piece + 1) * evaluation_piece); ++i) {
        if (weights_[i] == 0) continue;
        kernels::Sum free;
        for (Index c = 0; c < k_; ++c) {
          const double own = kernels::product(given_up[c], probability(c, i));
          free.add(own);
          slopes_(c, i) -= own;
        }
        for (Index c = 0; c < k_; ++c) slopes_(c, i) = std::fma(free.value(), part[c], slopes_(c, i));
      }
    });
  }

  auto target(Index c, Index i) const {
    if constexpr (labelled)
      return targets_[i];
    else
      return targets_(c, i);
  }

  /// Σ w_i u_i x_i, of the slopes above and of those below 0, for weight and bias.
  void add_up() {
    up_ = down_ = Matrix<double>::Zero(k_, d_);
    bias_up_ = bias_down_ = Vector<double>::Zero(k_);
    for (Index c = 0; c < k_; ++c) {
      kernels::Sum up, down;
      for (Index i = 0; i < n_; ++i) (slopes_(c, i) > 0 ? up : down).add(kernels::product(weights_[i], slopes_(c, i)));
      bias_up_[c] = up.value();
      bias_down_[c] = down.value();
    }
    const auto add = [this](const auto& row, Index i, Range features, Matrix<double>& up, Matrix<double>& down) {
      for (Index c = 0; c < k_; ++c) {
        const double slope = kernels::product(weights_[i], slopes_(c, i));
        if (slope == 0) continue;
        Matrix<double>& sum = slope > 0 ? up : down;
        row.visit(features, [&](Index feature, double x) { sum(c, feature) = std::fma(slope, x, sum(c, feature)); });
      }
    };
    if constexpr (is_sparse) {  // a worker has some of the features, in all rows
      const Index ranges = std::min<Index>(d_, team_.max_workers() == 1 ? 1 : 8 * team_.max_workers());
      for_each_window(data_, [&](const auto& data, Range part) {
        const SparsePiece<Scalar, std::remove_cvref_t<decltype(data)>> rows{data, 0};
        team_.for_each(ranges, [&](Index r, int) {
          for (Index i = part.begin; i < part.end; ++i) add(rows.row(i - part.begin), i, part_of(d_, ranges, r), up_, down_);
        });
      });
    } else {  // a worker has some of the samples; how many sums there are depends on the shape of the problem alone
      constexpr Index most = 1 << 22;
      const Index pieces = (n_ + evaluation_piece - 1) / evaluation_piece;
      const Index a_task = (pieces + std::clamp<Index>(most / (k_ * d_), 1, 64) - 1) / std::clamp<Index>(most / (k_ * d_), 1, 64);
      const auto tasks = static_cast<std::size_t>((pieces + a_task - 1) / a_task);
      std::vector<Matrix<double>> up(tasks, up_), down(tasks, down_);
      visit(a_task, [&](Index task, int, Range samples, const auto& piece) {
        const auto t = static_cast<std::size_t>(task);
        for (Index j = 0; j < samples.size(); ++j) add(piece.row(j), samples.begin + j, {0, d_}, up[t], down[t]);
      });
      const auto sum = [this](const std::vector<Matrix<double>>& parts, Matrix<double>& all) {
        std::vector<const double*> each;
        for (const auto& part : parts) each.push_back(part.data());
        tree_sum(std::span<const double* const>(each), {0, k_ * d_}, all.data());
      };
      sum(up, up_);
      sum(down, down_);
    }
  }

  /// D of s ρ∘u, s in (0, 1]: ρ takes from the slopes above or below 0 what makes Σ w_i u_i = 0 for a bias that is not regularized; s makes
  /// |v| ≤ λ₁ where λ₂ = 0, and is halved as long as that is more.
  double feasible_value() const {
    Vector<double> above = Vector<double>::Ones(k_), below = above;
    if (!HasColumnConjugate<L> && has_bias_ && of_bias_.is_free())
      for (Index c = 0; c < k_; ++c) {
        const double up = bias_up_[c], down = -bias_down_[c];
        if (up > down) above[c] = down / up;
        if (down > up) below[c] = up / down;
      }
    Matrix<double> v(k_, d_);  // (1/W) Σ w_i u_i x_i
    Vector<double> of_bias(k_);
    for (Index c = 0; c < k_; ++c) {
      for (Index j = 0; j < d_; ++j) v(c, j) = std::fma(above[c], up_(c, j), kernels::product(below[c], down_(c, j))) / total_;
      of_bias[c] = std::fma(above[c], bias_up_[c], kernels::product(below[c], bias_down_[c])) / total_;
    }
    if (!kernels::all_finite(v.data(), v.size()))  // u = 0 is feasible too
      return -(conjugate_sum([](double, Index) { return 0.0; }) / total_);
    const bool bias_counts = has_bias_ && !of_bias_.is_free();
    double scale = 1;
    const auto shrink = [&scale](const auto& block, const Terms& terms) {
      if (terms.l2 > 0) return;
      double largest = 0;
      for (Index i = 0; i < block.size(); ++i) largest = std::max(largest, std::abs(block.data()[i]));
      if (largest > terms.l1) scale = std::min(scale, terms.l1 / largest);
    };
    shrink(v, of_weight_);
    if (bias_counts) shrink(of_bias, of_bias_);

    const auto value = [&](double by) {
      kernels::Sum penalty;
      const auto add = [&](const auto& block, const Terms& terms) {
        if (terms.l2 > 0)
          for (Index i = 0; i < block.size(); ++i) penalty.add(terms.conjugate(kernels::product(by, block.data()[i])));
      };
      add(v, of_weight_);
      if (bias_counts) add(of_bias, of_bias_);
      return -(conjugate_sum([&](double u, Index c) { return kernels::product(by * (u > 0 ? above[c] : below[c]), u); }) / total_) -
             penalty.value();
    };
    double best = value(scale);
    while (scale > 0) {
      scale /= 2;
      const double half = value(scale);
      if (std::isfinite(best) && !(half > best)) break;
      best = half;
    }
    return best;
  }

  /// Σ w_i f*(point(u_i, c)), in parallel.
  template <class Point>
  double conjugate_sum(const Point& point) const {
    std::vector<double> sums(static_cast<std::size_t>((n_ + evaluation_piece - 1) / evaluation_piece));
    team_.for_each(static_cast<Index>(sums.size()), [&](Index piece, int) {
      kernels::Sum sum;
      [[maybe_unused]] Vector<double> column(HasColumnConjugate<L> ? k_ : 0);
      for (Index i = piece * evaluation_piece; i < std::min(n_, (piece + 1) * evaluation_piece); ++i) {
        if (weights_[i] == 0) continue;
        if constexpr (HasColumnConjugate<L>) {
          for (Index c = 0; c < k_; ++c) column[c] = point(slopes_(c, i), c);
          sum.add(kernels::product(weights_[i], loss_.conjugate(ConstVectorRef<double>(column), target(0, i))));
        } else {
          for (Index c = 0; c < k_; ++c) sum.add(kernels::product(weights_[i], loss_.conjugate(point(slopes_(c, i), c), target(c, i))));
        }
      }
      sums[static_cast<std::size_t>(piece)] = sum.value();
    });
    return tree_sum(std::span<const double>(sums));
  }

  template <class Data>
  static constexpr bool has_sparse_rows() {
    if constexpr (WindowedData<Data>)
      return SparseData<typename Data::Window>;
    else
      return SparseData<Data>;
  }
  static constexpr bool is_sparse = has_sparse_rows<D>();

  Team& team_;
  const L& loss_;
  const D& data_;
  Index k_, d_, n_;
  bool has_bias_;
  Terms of_weight_, of_bias_;
  Matrix<double> weight_;                                                // W (k,d)
  Vector<double> bias_;                                                  // b (k), 0 without
  double total_ = 0;                                                     // W = Σ w_i
  Vector<double> values_, weights_;                                      // J_i, w_i (n)
  Matrix<double> slopes_;                                                // u (k,n)
  std::conditional_t<labelled, Vector<Label>, Matrix<double>> targets_;  // y (n) or (k,n)
  Matrix<double> up_, down_;                                             // (k,d)
  Vector<double> bias_up_, bias_down_;                                   // (k)
  std::vector<DenseBatch<Scalar>> batches_;
};

/// The terms of a regularizer for the weights and for the bias. Throws what its check throws.
template <class M, class L, class D, class R>
auto terms_of(const M& model, const R& regularizer) {
  struct {
    typename DualProblem<M, L, D>::Terms weight, bias;
  } terms;
  if constexpr (requires { regularizer.check(); }) regularizer.check();
  const Shrinkage shrinkage = regularizer.shrinkage();
  for (const auto& block : model.parameters())
    if (applies_to(regularizer, block)) (block.name == "bias" ? terms.bias : terms.weight) = {shrinkage.l2, shrinkage.l1};
  return terms;
}

/// Throws DataError for what a fit would refuse.
template <class M, class L, class D>
void check_dual_data(Team& team, const M& model, const L& loss, const Vector<typename M::Scalar>& theta, const D& data) {
  check_theta(model.parameters().size(), theta.size());
  check_shapes(model, loss, data);
  if (data.size() == 0) throw DataError("the data must have at least 1 sample; got 0");
  if constexpr (SparseDataFor<D, M> || WindowedSparseFor<D, M>)
    check_sparse_values(team, model, loss, data, true, true);
  else
    check_values<DenseBatch<typename M::Scalar>>(team, model, loss, data);
}

/// As Trainer::residual, of a linear model without constraints, in double; also for sparse rows and for data that comes window by window.
template <LinearModel M, class L, HasShrinkage R, class D>
  requires Loss<L, double>
double linear_residual(Team& team, const M& model, const L& loss, const R& regularizer, const Vector<typename M::Scalar>& theta,
                       const D& data, double step) {
  const auto terms = terms_of<M, L, D>(model, regularizer);
  double residual = 0;
  team.run([&] {
    check_dual_data(team, model, loss, theta, data);
    residual =
        DualProblem<M, L, D>(team, model, loss, terms.weight, terms.bias, theta, data).residual(step, regularizer.shrinkage().l2_in_prox);
  });
  return residual;
}

}  // namespace detail

/// How far θ is at most from the optimum of a convex problem, proven by a point of its dual problem. For a linear model, z_i = W x_i + b,
/// the objective and its dual (Fenchel) are
///
///   P(θ) = (1/W) Σ_i w_i J(z_i, y_i) + λ₂/2 ‖θ‖² + λ₁‖θ‖₁
///   D(u) = −(1/W) Σ_i w_i f*(u_i, y_i) − 1/(2λ₂) Σ_j max(0, |v_j| − λ₁)²,    v = (1/W) Σ_i w_i u_i x_i
///
/// where f* is the conjugate of the loss: see its header. P(θ) ≥ P(θ*) ≥ D(u) for every θ and every feasible u, so that 0 ≤ P(θ) − P(θ*) ≤
/// P(θ) − D(u), the gap; at an optimum it is 0 for the best u. Here u is made from the slopes at θ, u_i = ∂J/∂z_i, and made feasible:
///   - for a bias that is not regularized, which asks for Σ w_i u_i = 0: slopes above 0, or those below, are scaled down until they balance
///     the others; for SoftmaxCrossEntropy, whose u_i are differences of probabilities, classes that are too probable give to the others;
///   - for λ₂ = 0 (the lasso), which asks for |v_j| ≤ λ₁: u ← u · min(1, λ₁/‖v‖_∞) (Kim, Koh, Lustig, Boyd, Gorinevsky 2007; Massias,
///     Gramfort, Salmon 2018);
///   - far from the optimum a smaller u may be better: it is halved as long as D grows.
/// For a smooth loss that gap goes to 0 as θ goes to the optimum. The slopes of a loss with a kink do not say which of its slopes is the
/// right one: for Hinge and λ₂ > 0, `sweeps` passes of dual coordinate ascent (Hsieh, Chang, Lin, Keerthi, Sundararajan 2008;
/// Shalev-Shwartz, Zhang 2013), on one thread, bring u nearer. For Hinge with λ₂ = 0 the gap is a bound, and does not go to 0.
///
/// All in double, also for a model in float, whose θ and data are taken as they are. Up to rounding the gap is never below 0. It takes the
/// memory of k numbers a sample and some of θ's size. The bits depend neither on the number of threads nor on the machine.
///
/// The gap of θ on all of the data, in parallel: dense or sparse, in memory or window by window. Throws DataError for a θ, shapes or values
/// that a fit would refuse, and OptionError for a regularizer that leaves the weights free (λ = 0), which has no such certificate. NaN
/// where a loss is not finite.
///
///   Team team;
///   const DualityGap gap = duality_gap(team, model, Logistic{}, L2{.lambda = 1e-3}, theta, data);
template <class M, class L, class R, class D>
DualityGap duality_gap(Team& team, const M& model, const L& loss, const R& regularizer, const Vector<typename M::Scalar>& theta,
                       const D& data, const DualityGapOptions& options = {}) {
  static_assert(HasDualityGap<M, L, R>,
                "a duality gap is there for a linear model (Linear) with SquaredError, Huber, Logistic, SoftmaxCrossEntropy, Hinge or "
                "SquaredHinge (a loss with `conjugate`) and L2, L1 or ElasticNet (a regularizer with `shrinkage`)");
  if constexpr (HasDualityGap<M, L, R>) {
    using Problem = detail::DualProblem<M, L, D>;
    options.check();
    const auto [weight, bias] = detail::terms_of<M, L, D>(model, regularizer);
    if (weight.is_free()) throw OptionError("a duality gap needs a regularizer of the weights: lambda must be above 0; got 0");
    DualityGap gap;
    team.run([&, weight = weight, bias = bias] {
      detail::check_dual_data(team, model, loss, theta, data);
      Problem problem(team, model, loss, weight, bias, theta, data);
      gap.primal = problem.primal();
      if (!std::isfinite(gap.primal)) return;
      gap.dual = problem.dual();
      if constexpr (HasConjugateStep<L>)
        if (options.sweeps > 0 && weight.l2 > 0) {
          gap.dual = problem.ascended(options.sweeps, gap.dual);
        }
    });
    return gap;
  }
}

}  // namespace parade
