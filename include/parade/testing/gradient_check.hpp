// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iomanip>
#include <limits>
#include <ostream>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <parade/concepts/dataset.hpp>
#include <parade/concepts/loss.hpp>
#include <parade/concepts/model.hpp>
#include <parade/concepts/regularizer.hpp>
#include <parade/core/batch.hpp>
#include <parade/core/error.hpp>
#include <parade/core/parameters.hpp>
#include <parade/core/random.hpp>
#include <parade/core/types.hpp>
#include <parade/engine/environment.hpp>
#include <parade/engine/shard_worker.hpp>

// Does an own model, loss or regularizer compute the gradient that it should, and keep the rules that no concept can see? In a test:
//
//   const auto report = parade::testing::check_gradient(MyModel{3, 2}, MyLoss{}, theta, data);
//   if (!report) std::cerr << report << '\n';          // with Catch2 simply CHECK(report)
namespace parade::testing {

/// How strict a check is.
struct GradientCheckOptions {
  double tolerance = 1e-5;         // in (0, 0.1]: how far gradient and difference may be apart, relative to the larger of them
  double max_left_out = 0.1;       // in [0, 1]: share of the elements that differences may be unable to judge
  Index elements_per_block = 200;  // ≥ 1: of each named parameter so many elements are compared, drawn at random where it has more
  std::uint64_t seed = 1;          // of that draw

  /// Throws OptionError for a field that breaks its rule.
  void check() const {
    if (!(tolerance > 0 && tolerance <= 0.1)) throw OptionError(detail::text("tolerance must be in (0, 0.1]; got ", tolerance));
    if (!(max_left_out >= 0 && max_left_out <= 1)) throw OptionError(detail::text("max_left_out must be in [0, 1]; got ", max_left_out));
    if (elements_per_block < 1) throw OptionError(detail::text("elements_per_block must be at least 1; got ", elements_per_block));
  }
};

/// What a check found. `if (report)`: all is well.
struct GradientReport {
  struct Element {
    std::string name;       // "layer0.weight(2, 1) of sample 3", counted from 0
    double gradient = 0;    // what the code under test says, for that sample
    double difference = 0;  // what central differences say
    double allowed = 0;     // how far apart they may be
  };

  Index compared = 0;               // elements that were judged
  Index zero = 0;                   // elements where gradient and difference are both exactly 0: right, but no proof of anything
  Index left_out = 0;               // elements that differences cannot judge: a kink within reach, or a gradient below the rounding of J
  Element worst;                    // of those compared with differences, the one that is furthest off beside what is allowed
  std::vector<std::string> faults;  // a sentence each

  explicit operator bool() const { return faults.empty(); }

  /// All of the above, faults first.
  std::string text() const {
    std::string text = faults.empty() ? "no fault found" : detail::text(faults.size(), faults.size() == 1 ? " fault" : " faults");
    for (const auto& fault : faults) text += "\n- " + fault;
    text += detail::text("\n", compared, " elements compared, ", zero, " exactly 0, ", left_out, " left out");
    if (!worst.name.empty())
      text += detail::text(std::setprecision(10), "; worst ", worst.name, ": gradient ", worst.gradient, ", central difference ",
                           worst.difference, ", allowed difference ", worst.allowed);
    return text;
  }
  friend std::ostream& operator<<(std::ostream& out, const GradientReport& report) { return out << report.text(); }
};

namespace detail {

using parade::detail::text;

inline constexpr double epsilon = std::numeric_limits<double>::epsilon();
inline constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// dJ_j/dt at t = 0 for every sample j, and how far all of them together may be off.
struct Slopes {
  Eigen::ArrayXd values;  // (m)
  double doubt;
};

/// Slopes of J_1(t) … J_m(t) by central differences; `costs(t)` gives the J_j, `center` is costs(0).
///
///   values = narrow = (J(h/2) − J(−h/2)) / h
///
/// Truncation and kinks are bounded by a second set of differences with twice the step, and by the bends (half the jumps between the slopes
/// to the right and to the left):
///
///   doubt = Σ_j |wide_j − narrow_j| + |wide_bend_j − 2 narrow_bend_j| + rounding
///
/// - Smooth J: the bends cancel, and h²|J'''|/8 is left, three times the error of `narrow`.
/// - A kink where the slope jumps by Δ, at a distance of τh from 0: the error of `narrow` is Δ(½ − τ) for τ < ½ and 0 beyond. For τ ≤ 1/3
///   the doubt is the same number, for 1/3 < τ < 1 more. A kink exactly at 0 is seen as well: there every subgradient is within the doubt.
/// - Rounding: each of the two J_j of `narrow` is taken to be up to 8 roundings off, and so is each score, where a rounding moves J_j by
///   |z ∂J_j/∂z| eps; `inner` is Σ |z ∂J/∂z|. Together 16 eps (Σ|J_j| + inner) / h. A J with more noise shows it in the differences.
template <class Costs>
Slopes slopes(const Costs& costs, const Eigen::ArrayXd& center, double inner, double h) {
  const Eigen::ArrayXd right = costs(h), left = costs(-h), near_right = costs(h / 2), near_left = costs(-h / 2);  // (m)
  const Eigen::ArrayXd narrow = (near_right - near_left) / h, wide = (right - left) / (2 * h);
  const Eigen::ArrayXd narrow_bend = (near_right - 2 * center + near_left) / h, wide_bend = (right - 2 * center + left) / (2 * h);
  const double size = (near_right.abs() + near_left.abs()).sum() / 2 + inner;
  return {narrow, ((wide - narrow).abs() + (wide_bend - 2 * narrow_bend).abs()).sum() + 16 * epsilon * size / h};
}

/// Compares the elements of a gradient with slopes, one after the other.
class Differences {
 public:
  Differences(const GradientCheckOptions& options, GradientReport& report) : options_(options), report_(report) {}

  /// Element `name` of `block` has the value `at` and, says the code under test, this gradient (m): sample by sample, since in a sum over
  /// samples terms may cancel, and with them a fault. How far they may be apart is measured by the sum of their magnitudes.
  ///
  /// h = ∛eps max(1, |at|) makes the errors of truncation, ~ h², and of rounding, ~ eps/h, about equal. Where that leaves more doubt than
  /// the tolerance allows, larger steps may get above the rounding, and a smaller one out of reach of a kink. An element for which no step
  /// is good enough is left out: there is no absolute tolerance behind which a small wrong gradient could hide.
  template <class Costs>
  void compare(const std::string& block, const std::string& name, const Eigen::ArrayXd& gradient, double at, const Costs& costs,
               const Eigen::ArrayXd& center, double inner) {
    if (blocks_.empty() || blocks_.back().name != block) blocks_.push_back({block});
    const double h = std::cbrt(epsilon) * std::max(1.0, std::abs(at));
    if ((gradient == 0).all() && (slopes(costs, center, inner, h).values == 0).all()) {
      ++report_.zero;
      return;
    }
    for (const double factor : {1.0, 0x1p5, 0x1p9, 0x1p-5}) {
      const auto [differences, doubt] = slopes(costs, center, inner, factor * h);
      const double allowed = options_.tolerance * gradient.abs().max(differences.abs()).sum();
      if (!(doubt < allowed)) continue;  // also where J is not finite
      Index j = 0;
      (gradient - differences).abs().maxCoeff(&j);
      return judge({gradient.size() > 1 ? text(name, " of sample ", j) : name, gradient[j], differences[j], allowed + doubt});
    }
    ++report_.left_out;
  }

  /// Notes what was wrong, if anything, and what was not looked at.
  void finish() {
    Index wrong = 0;
    std::string where, nowhere;
    for (const auto& block : blocks_) {
      wrong += block.wrong;
      if (block.wrong > 0) where += text(where.empty() ? "" : ", ", block.name, " (", block.wrong, " of ", block.compared, ')');
      if (block.compared == 0) nowhere += (nowhere.empty() ? "" : ", ") + block.name;
    }
    if (wrong > 0) {
      const auto& [name, gradient, difference, allowed] = report_.worst;
      std::string fault = text(std::setprecision(10), "the gradient differs from central differences in ", where, "; worst ", name,
                               ": gradient ", gradient, ", central difference ", difference, ", allowed difference ", allowed);
      if (highest_ - lowest_ <= 1e-3 * std::abs(lowest_))
        fault += text("; wherever it is wrong it is ", lowest_, " times the difference: ",
                      lowest_ == 0  ? "forgotten?"
                      : lowest_ < 0 ? "a wrong sign?"
                                    : "a factor lost or too many?");
      report_.faults.push_back(fault);
    }
    const char* advice = "; take another theta or other data";
    const Index all = report_.compared + report_.zero + report_.left_out;
    if (static_cast<double>(report_.left_out) > options_.max_left_out * static_cast<double>(all))
      report_.faults.push_back(text(report_.left_out, " of ", all, " elements had to be left out, more than max_left_out = ",
                                    options_.max_left_out, ": they are at a kink, or too small beside J", advice));
    if (!nowhere.empty())
      report_.faults.push_back(text("nothing could be compared in ", nowhere, ": no influence that differences can measure", advice));
  }

 private:
  struct Block {
    std::string name;
    Index compared = 0;
    Index wrong = 0;
  };

  void judge(const GradientReport::Element& element) {
    const double apart = std::abs(element.gradient - element.difference);
    ++report_.compared;
    ++blocks_.back().compared;
    if (report_.worst.name.empty() || apart / element.allowed > worst_share_) {
      worst_share_ = apart / element.allowed;
      report_.worst = element;
    }
    if (apart <= element.allowed) return;
    ++blocks_.back().wrong;
    const double ratio = element.gradient / element.difference + 0.0;  // + 0.0: not "-0 times"
    lowest_ = std::min(lowest_, ratio);
    highest_ = std::max(highest_, ratio);
  }

  const GradientCheckOptions& options_;
  GradientReport& report_;
  std::vector<Block> blocks_;
  double worst_share_ = 0;
  double lowest_ = std::numeric_limits<double>::infinity(), highest_ = -lowest_;  // of gradient / difference, where that is wrong
};

/// `count` of the numbers 0 … size−1, in order, every choice as likely; all of them if count ≥ size. (Knuth, TAOCP 3.4.2, Algorithm S.)
inline std::vector<Index> draw(Index size, Index count, const Random& random) {
  std::vector<Index> chosen;
  for (Index i = 0, left = std::min(size, count); left > 0; ++i)
    if (random.uniform(static_cast<std::uint64_t>(i)) * static_cast<double>(size - i) < static_cast<double>(left)) {
      chosen.push_back(i);
      --left;
    }
  return chosen;
}

/// What makes it pointless, or dangerous, to go on.
struct Fault {
  std::string text;
};

/// What `check` reports, or the fault that it stopped at.
template <class Check>
GradientReport report_of(Check&& check) {
  GradientReport report;
  try {
    check(report);
  } catch (const Fault& fault) {
    report.faults.push_back(fault.text);
  }
  return report;
}

template <class Name>
void must_be_finite(const Eigen::ArrayXd& numbers, const Name& name) {
  for (Index i = 0; i < numbers.size(); ++i)
    if (!std::isfinite(numbers[i])) throw Fault{text(name(i), " is ", numbers[i], ", not a finite number")};
}

/// "weight(2, 1) is 3 instead of 4, allowed difference 1e-09" for the element of `got` that is furthest from `expected` beside what is
/// allowed; "" if there is none. NaN is never right.
template <class Name>
std::string mismatch(const Eigen::ArrayXd& got, const Eigen::ArrayXd& expected, const Eigen::ArrayXd& allowed, const Name& name) {
  Index worst = -1;
  double most = 0;
  for (Index i = 0; i < got.size(); ++i) {
    const double excess = std::abs(got[i] - expected[i]) - allowed[i];
    if (excess <= most) continue;
    worst = i;
    most = std::isnan(excess) ? std::numeric_limits<double>::infinity() : excess;
  }
  if (worst < 0) return {};
  return text(std::setprecision(allowed[worst] > 0 ? 10 : 17), name(worst), " is ", got[worst], " instead of ", expected[worst]) +
         (allowed[worst] > 0 ? text(", allowed difference ", allowed[worst]) : "");
}

/// How far two sums of the same terms in another order may be apart, element by element; `sizes` are the sums of the terms' magnitudes.
/// What these comparisons look for is gross, so half of the digits are enough; and since a term may itself be the rest of larger ones that
/// cancelled, it may be off by roundings of the largest.
inline Eigen::ArrayXd rounding(const Eigen::ArrayXd& sizes, double largest) {
  return std::sqrt(epsilon) * sizes + 1024 * epsilon * largest;
}

/// What a gradient holds before it is added to: numbers of at least the size of the gradient, none of them 0.
inline Vector<double> something(const Eigen::ArrayXd& sizes) {
  const double scale = sizes.maxCoeff() > 0 ? sizes.maxCoeff() : 1;
  const Random random(0, Purpose::user);
  return Vector<double>::NullaryExpr(sizes.size(), [&](Index i) { return scale * (1 + random.uniform(static_cast<std::uint64_t>(i))); });
}

/// The samples 0 … n−1. A single one is taken twice, or else a mean would be the sum.
inline std::vector<Index> all_samples(Index n) {
  std::vector<Index> samples(static_cast<std::size_t>(std::max<Index>(2, n)));
  for (std::size_t i = 0; i < samples.size(); ++i) samples[i] = static_cast<Index>(i) % n;
  return samples;
}

/// Throws DataError unless the loss takes k outputs and each of these labels.
template <class L, class Targets>
void check_targets(const L& loss, Index outputs, const Targets& targets) {
  if constexpr (ChecksOutputs<L>)
    if (const std::string rule = loss.check_outputs(outputs); !rule.empty())
      throw DataError(text("the number of scores of a sample is ", outputs, ": ", rule));
  if constexpr (ChecksTarget<L> && std::is_same_v<typename L::Target, Label>)
    for (Index j = 0; j < targets.size(); ++j)
      if (const std::string rule = loss.check_target(targets[j], outputs); !rule.empty())
        throw DataError(text("the label of sample ", j, " is ", targets[j], ": ", rule));
}

/// Calls with the very types that the concept names: a template in user code may deduce from no others.
template <class L>
void evaluate(const L& loss, const ConstMatrixRef<double>& scores, const TargetsRef<typename L::Target, double>& targets,
              VectorRef<double> values, MatrixRef<double> dscores) {
  loss.value_and_gradient(scores, targets, values, dscores);
}

/// What one shard gives.
struct Shard {
  Matrix<double> scores;   // Z (k,m)
  Matrix<double> dscores;  // w_j ∂J_j/∂Z (k,m)
  Eigen::ArrayXd costs;    // w_j J_j (m)
  Vector<double> grad;     // (P)
};

/// A worker: what the engine does with a shard, with a look at what the model answers on the way.
template <class M, class L, class D>
class Worker {
 public:
  enum class Gradient { none, add, overwrite };

  Worker(const M& model, const L& loss, const D& data, Index capacity, bool pieces_backwards = false)
      : model_(model), loss_(loss), data_(data), backwards_(pieces_backwards) {
    data.reserve(batch_, capacity);
    preparation_.reserve(model, model.parameters().size());
    if constexpr (ReservesWorkspace<M>) model.reserve(workspace_, capacity);
  }

  /// `grad` as it is before the gradient goes into it.
  Shard operator()(const Vector<double>& theta, std::span<const Index> samples, Gradient how = Gradient::none, Vector<double> grad = {}) {
    preparation_(model_, theta, [this](Index pieces, auto&& work) {
      for (Index piece = 0; piece < pieces; ++piece) work(backwards_ ? pieces - 1 - piece : piece, 0);
    });
    const auto& prepared = preparation_.get();
    data_.gather(samples, batch_);
    for (Index j = 0; j < batch_.weights.size() && j < batch_.size; ++j)
      if (batch_.weights[j] == 0) batch_.clear(j);  // weight 0 is absence, also of NaN
    const ConstMatrixRef<double> x = batch_.input();
    const Index k = model_.num_outputs(), m = static_cast<Index>(samples.size());
    Shard shard;
    if constexpr (TrainsDifferently<M>)
      shard.scores = ConstMatrixRef<double>(model_.forward_training(prepared, x, workspace_, context(samples)));
    else
      shard.scores = ConstMatrixRef<double>(model_.forward(prepared, x, workspace_));
    if (shard.scores.rows() != k || shard.scores.cols() != m)
      throw Fault{text("forward must give scores (", k, ", ", m, ") for ", m, " samples; got (", shard.scores.rows(), ", ",
                       shard.scores.cols(), ")")};

    Vector<double> values(m);
    shard.dscores.resize(k, m);
    evaluate(loss_, shard.scores, batch_.template target<typename L::Target>(), values, shard.dscores);
    const Vector<double> weights = batch_.weights.size() > 0 ? Vector<double>(batch_.weights.head(m)) : Vector<double>::Ones(m);
    shard.costs = (weights.array() == 0).select(0, weights.cwiseProduct(values)).array();
    for (Index j = 0; j < m; ++j)
      shard.dscores.col(j) = weights[j] == 0 ? Vector<double>::Zero(k) : Vector<double>(weights[j] * shard.dscores.col(j));

    const ConstMatrixRef<double> dscores = shard.dscores;
    VectorRef<double> into = grad;
    if constexpr (OverwritesGradient<M>)
      if (how == Gradient::overwrite) model_.gradient(prepared, x, dscores, workspace_, into);
    if (how == Gradient::add) model_.add_gradient(prepared, x, dscores, workspace_, into);
    shard.grad = std::move(grad);
    return shard;
  }

  /// What a tape wants to know of these samples.
  template <class Piece>
  void record(const Vector<double>& theta, std::span<const Index> samples, Piece& piece) {
    const Shard shard = (*this)(theta, samples);
    model_.reserve(piece, static_cast<Index>(samples.size()));
    model_.record(preparation_.get(), ConstMatrixRef<double>(batch_.input()), ConstMatrixRef<double>(shard.dscores), workspace_, piece);
  }

 private:
  TrainingContext context(std::span<const Index> samples) const {
    return {1, 0, samples, {batch_.weights.data(), batch_.weights.size() > 0 ? samples.size() : 0}};
  }

  const M& model_;
  const L& loss_;
  const D& data_;
  bool backwards_;
  parade::detail::Preparation<M> preparation_;
  DenseBatch<double> batch_;
  typename M::Workspace workspace_;
};

/// check_gradient, step by step.
template <class M, class L, class D>
class GradientCheck {
 public:
  GradientCheck(const M& model, const L& loss, const Vector<double>& theta, const D& data, const GradientCheckOptions& options,
                GradientReport& report)
      : model_(model), loss_(loss), theta_(theta), data_(data), options_(options), report_(report), parameters_(model.parameters()) {
    if (theta.size() != parameters_.size() || theta.size() == 0)
      throw DataError(text("theta must have one element per parameter, at least 1: ", parameters_.size(), "; got ", theta.size()));
    if (!theta.allFinite()) throw DataError("theta must be finite");
    if (data.size() == 0) throw DataError("the data must have at least 1 sample; got 0");
    if (data.num_features() != model.num_inputs())
      throw DataError(text("the model takes ", model.num_inputs(), " features a sample; the data has ", data.num_features()));
    if (std::is_same_v<typename L::Target, Label> && !data.has_labels())
      throw DataError("the loss needs a class label for every sample; the data has none");
    if (std::is_same_v<typename L::Target, Real> && data.num_targets() != model.num_outputs())
      throw DataError(
          text("the loss compares ", model.num_outputs(), " outputs with as many targets a sample; the data has ", data.num_targets()));
    samples_ = all_samples(data.size());
    DenseBatch<double> batch;
    data.reserve(batch, size());
    data.gather(samples_, batch);
    check_targets(loss, model.num_outputs(), batch.labels);
  }

  void run() {
    // The whole batch, its halves, and an uneven split.
    const std::span<const Index> all = samples_;
    const std::size_t half = all.size() / 2;
    const std::span<const Index> parts[] = {all, all.first(half), all.subspan(half), all.first(1), all.subspan(1)};
    Run worker(model_, loss_, data_, size());
    std::vector<Shard> shards;
    for (const auto& part : parts) shards.push_back(worker(theta_, part, Run::Gradient::add, zero()));
    const Shard& whole = shards[0];
    must_be_finite(whole.scores.reshaped(), [&](Index i) { return score_name(whole, i); });
    must_be_finite(whole.costs, [](Index j) { return text("J of sample ", j); });
    must_be_finite(whole.grad, [this](Index i) { return "the gradient of " + name(i); });

    // The same again by another worker in another order. If that makes a difference, all that follows would compare noise.
    Run other(model_, loss_, data_, size(), true);
    for (std::size_t i = shards.size(); i-- > 0;) must_be_same(other(theta_, parts[i], Run::Gradient::add, zero()), shards[i]);

    const std::vector<Element> elements = draw_elements();
    if constexpr (depends_on_shard<M>) return run_as_a_whole(worker, whole, elements);

    // Every sample by itself: what differences are compared with, and how large the terms are that the gradient is a sum of.
    Eigen::ArrayXXd gradients(size(), static_cast<Index>(elements.size()));
    Shard alone{{}, {}, Eigen::ArrayXd(size()), zero()};
    Eigen::ArrayXd sizes = zero();
    for (Index j = 0; j < size(); ++j) {
      const Shard one = worker(theta_, all.subspan(static_cast<std::size_t>(j), 1), Run::Gradient::add, zero());
      for (std::size_t e = 0; e < elements.size(); ++e) gradients(j, static_cast<Index>(e)) = one.grad[elements[e].offset];
      alone.costs[j] = one.costs[0];
      alone.grad += one.grad;
      sizes += one.grad.array().abs();
    }
    adds_up("two halves", sum(shards[1], shards[2]), whole, sizes) &&
        adds_up("the first sample and the rest", sum(shards[3], shards[4]), whole, sizes) &&
        adds_up("the samples one by one", alone, whole, sizes);

    compare_adding(worker, whole, sizes);
    if constexpr (Taped<M>) compare_tape(worker);
    compare_with_differences(worker, whole, elements, gradients);
    must_be_same(worker(theta_, all, Run::Gradient::add, zero()), whole);
  }

 private:
  using Run = Worker<M, L, D>;

  struct Element {
    const ParameterBlock* block;
    Index offset;  // in θ
  };

  /// Where a column of Z depends on others, parts of the batch are another function: all samples are one shard, and J is that of their sum.
  void run_as_a_whole(Run& worker, const Shard& whole, const std::vector<Element>& elements) {
    Eigen::ArrayXXd gradients(1, static_cast<Index>(elements.size()));
    for (std::size_t e = 0; e < elements.size(); ++e) gradients(0, static_cast<Index>(e)) = whole.grad[elements[e].offset];
    compare_adding(worker, whole, whole.grad.array().abs());
    compare_with_differences(worker, whole, elements, gradients);
    must_be_same(worker(theta_, samples_, Run::Gradient::add, zero()), whole);
  }

  void compare_adding(Run& worker, const Shard& whole, const Eigen::ArrayXd& sizes) {
    const Vector<double> before = something(sizes);
    compare(worker(theta_, samples_, Run::Gradient::add, before).grad, before + whole.grad, rounding(sizes, before.maxCoeff()),
            "add_gradient must add to what grad holds, not overwrite it");
    if constexpr (OverwritesGradient<M>)
      compare(worker(theta_, samples_, Run::Gradient::overwrite, Vector<double>::Constant(theta_.size(), not_a_number)).grad, whole.grad,
              rounding(sizes, sizes.maxCoeff()),
              "gradient must overwrite all of grad, which may hold anything, with what add_gradient gives from 0");
  }

  /// The tape of a batch of three shards, of which two pieces hold one and a half each, has the bits of the shards' gradients and their tree.
  void compare_tape(Run& worker) {
    const std::span<const Index> all = samples_;
    const ShardPlan plan(size(), (size() + 2) / 3);
    Vector<double> expected;
    for (Index s = 0; s < plan.shards(); ++s) {  // ((0 + 1) + 2)
      const auto shard = all.subspan(static_cast<std::size_t>(plan[s].begin), static_cast<std::size_t>(plan[s].size()));
      const Vector<double> grad = worker(theta_, shard, Run::Gradient::add, zero()).grad;
      expected = s == 0 ? grad : Vector<double>(expected + grad);
    }
    const Index cut = (size() + 1) / 2;
    typename M::Piece pieces[2];
    worker.record(theta_, all.first(static_cast<std::size_t>(cut)), pieces[0]);
    if (cut < size()) worker.record(theta_, all.subspan(static_cast<std::size_t>(cut)), pieces[1]);
    std::vector<TapePart<typename M::Piece>> parts;
    for (Index s = 0; s < plan.shards(); ++s)
      for (Index p = 0; p < 2; ++p) {
        const Index begin = std::max(plan[s].begin, p * cut), end = std::min(plan[s].end, p == 0 ? cut : size());
        if (begin < end)
          parts.push_back(
              {&pieces[p], p == 0 ? cut : size() - cut, begin - p * cut, end - begin, begin == plan[s].begin, end == plan[s].end});
      }
    typename M::Tape tape;
    model_.reserve(tape, parts.size());
    model_.collect(std::span<const TapePart<typename M::Piece>>(parts), tape);
    Vector<double> got = Vector<double>::Constant(theta_.size(), not_a_number);
    for (const Range range : parade::detail::parameter_ranges(parameters_)) model_.gradient(tape, range, got.data() + range.begin);
    compare(got, expected, zero(),
            "gradient of a tape must have the bits of add_gradient of each shard, from 0, added over the canonical tree");
  }

  Index size() const { return static_cast<Index>(samples_.size()); }
  Vector<double> zero() const { return Vector<double>::Zero(theta_.size()); }

  static std::string name(const ParameterBlock& block, Index offset) {
    return text(block.name, '(', (offset - block.offset) % block.rows, ", ", (offset - block.offset) / block.rows, ')');
  }
  std::string name(Index offset) const {
    for (const auto& block : parameters_)
      if (offset < block.offset + block.size()) return name(block, offset);
    return {};
  }

  static std::string score_name(const Shard& shard, Index i) {
    return text("score ", i % shard.scores.rows(), " of sample ", i / shard.scores.rows());
  }

  /// Two shards as one: the costs and the gradient, which is all that is compared.
  static Shard sum(const Shard& a, const Shard& b) {
    Eigen::ArrayXd costs(a.costs.size() + b.costs.size());
    costs << a.costs, b.costs;
    return {{}, {}, costs, a.grad + b.grad};
  }

  bool compare(const Vector<double>& got, const Vector<double>& expected, const Eigen::ArrayXd& allowed, const std::string& rule) {
    const std::string found = mismatch(got, expected, allowed, [this](Index i) { return name(i); });
    if (!found.empty()) report_.faults.push_back(rule + ": " + found);
    return found.empty();
  }

  void must_be_same(const Shard& again, const Shard& first) const {
    std::string found = mismatch(again.scores.reshaped(), first.scores.reshaped(), Eigen::ArrayXd::Zero(first.scores.size()),
                                 [&](Index i) { return score_name(first, i); });
    if (found.empty()) found = mismatch(again.grad, first.grad, zero(), [this](Index i) { return name(i); });
    if (!found.empty())
      throw Fault{text("a shard must have the same bits in any order of shards, on any worker; is state kept between calls? In a shard of ",
                       first.costs.size(), " samples ", found)};
  }

  bool adds_up(const std::string& parts, const Shard& total, const Shard& whole, const Eigen::ArrayXd& sizes) {
    const std::string cost =
        mismatch(total.costs, whole.costs, std::sqrt(epsilon) * whole.costs.abs(), [](Index j) { return text("J of sample ", j); });
    if (!cost.empty())
      throw Fault{text("J of a sample must not depend on what else is in its shard; a mean where a sum is meant? In ", parts, ' ', cost,
                       ", as in the whole batch of ", size())};
    return compare(
        total.grad, whole.grad, rounding(sizes, sizes.maxCoeff()),
        text("the gradients of ", parts, " must add up to that of the whole batch of ", size(), "; a mean where a sum is meant?"));
  }

  /// Those that are compared with differences.
  std::vector<Element> draw_elements() const {
    std::vector<Element> elements;
    std::uint64_t stream = 0;
    for (const auto& block : parameters_) {
      const Random random(options_.seed, Purpose::user, stream++);
      if (block.role == Role::statistic) continue;  // what stands there is a change, not a gradient
      for (const Index i : draw(block.size(), options_.elements_per_block, random)) elements.push_back({&block, block.offset + i});
    }
    return elements;
  }

  static Eigen::ArrayXd of_sample_or_sum(const Eigen::ArrayXd& costs) {
    return depends_on_shard<M> ? Eigen::ArrayXd::Constant(1, costs.sum()) : costs;
  }

  /// gradients (m,e): of e elements for every sample, or (1,e) for their sum.
  void compare_with_differences(Run& worker, const Shard& whole, const std::vector<Element>& elements, const Eigen::ArrayXXd& gradients) {
    const double inner = whole.scores.cwiseProduct(whole.dscores).cwiseAbs().sum();
    Vector<double> moved = theta_;
    Differences differences(options_, report_);
    for (std::size_t e = 0; e < elements.size(); ++e) {
      const auto& [block, i] = elements[e];
      const auto costs = [&, at = i](double t) {
        moved[at] = theta_[at] + t;
        return of_sample_or_sum(worker(moved, samples_).costs);
      };
      differences.compare(block->name, name(*block, i), gradients.col(static_cast<Index>(e)), theta_[i], costs,
                          of_sample_or_sum(whole.costs), inner);
      moved[i] = theta_[i];
    }
    differences.finish();
  }

  const M& model_;
  const L& loss_;
  const Vector<double>& theta_;
  const D& data_;
  const GradientCheckOptions& options_;
  GradientReport& report_;
  ParameterList parameters_;
  std::vector<Index> samples_;
};

/// Is every u_i = nearest_i where value(u_i) − tilt_i u_i + (u_i − θ_i)² / (2 steps_i) is least? Looks to either side, in steps that
/// double. The costs that are compared are some roundings of each of their terms off.
template <class Value>
void check_prox(const Value& value, const Vector<double>& theta, const Vector<double>& nearest, const Vector<double>& tilt,
                const Vector<double>& steps, const std::vector<Index>& elements, GradientReport& report) {
  Index wrong = 0;
  std::string first;
  for (const Index i : elements) {
    const auto cost = [&](double u) { return value(u) - tilt[i] * (u - nearest[i]) + (u - theta[i]) * (u - theta[i]) / (2 * steps[i]); };
    const double scale = std::max(1.0, std::abs(theta[i])), least = cost(nearest[i]);
    const double allowed = 16 * epsilon * (std::abs(least) + (std::abs(tilt[i]) + std::abs(theta[i] - nearest[i]) / steps[i]) * scale);
    double best = nearest[i];
    for (double away = 0x1p-20 * scale; away <= 2 * scale; away *= 2)
      for (const double u : {nearest[i] - away, nearest[i] + away})
        if (cost(u) < cost(best) - allowed) best = u;
    ++report.compared;
    if (best != nearest[i] && wrong++ == 0)
      first = text(std::setprecision(10), "theta(", i, ") = ", theta[i], " goes to ", nearest[i], ", but ", best, " costs less (step size ",
                   steps[i], ')');
  }
  if (wrong > 0)
    report.faults.push_back(text("prox does not give the proximal point of ", wrong, " of ", report.compared, " elements: ", first));
}

}  // namespace detail

/// Checks a model with a loss at θ, all samples of `data` being the batch:
///
///   1. The scores, J and the gradient are finite; every shard gives the same bits, whatever was computed before it and by which worker.
///   2. Half batches, an uneven split, and single samples add up to the whole batch: a sum, not a mean.
///   3. `add_gradient` adds to what is there; `gradient`, where the model has it, overwrites, and gives the same.
///   4. The gradient of Σ w_i J_i agrees with central differences, element by element, to the relative tolerance. Elements that differences
///      cannot judge are left out and counted; of every parameter at least one element must be compared.
///
/// Of a model that trains differently (TrainsDifferently) the pass of training is checked, at step 0; where columns depend on each other (its
/// sample_by_sample is false) 2 falls away. Statistics (Role::statistic) are not compared with differences: what the model writes there is a change.
///
/// Take a handful of samples and a θ without symmetry: random, biases too, never all 0. The cost is that of 4 forward passes for each
/// element, of 20 for one that is hard to judge. The model's Scalar must be double, since float has too few digits for differences: write
/// the model as a template on Scalar, as the built-in ones are.
///
/// Throws DataError or OptionError where θ, data or options do not fit.
template <Model M, Loss<typename M::Scalar> L, Dataset<DenseBatch<typename M::Scalar>> D>
GradientReport check_gradient(const M& model, const L& loss, const Vector<typename M::Scalar>& theta, const D& data,
                              const GradientCheckOptions& options = {}) {
  constexpr bool in_double = std::is_same_v<typename M::Scalar, double>;
  static_assert(in_double,
                "parade::testing::check_gradient needs a model whose Scalar is double: float has too few digits for differences");
  if constexpr (in_double) {
    options.check();
    const parade::detail::EigenGuard eigen;
    const parade::detail::FloatingPointGuard floating_point;
    return detail::report_of(
        [&](GradientReport& report) { detail::GradientCheck<M, L, D>(model, loss, theta, data, options, report).run(); });
  } else {
    return {};
  }
}

/// Checks a loss for scores Z (k,m) and targets, y (m) or Y (k,m): J and ∂J/∂Z are finite, overwrite what was there, and have the same bits
/// when asked for again; column j depends on column j alone (nothing is divided by m either); ∂J/∂z agrees with central differences.
///
/// Throws DataError or OptionError where scores, targets or options do not fit.
template <Loss<double> L>
GradientReport check_loss(const L& loss, const Matrix<double>& scores, const TargetsRef<typename L::Target, double>& targets,
                          const GradientCheckOptions& options = {}) {
  using detail::text;
  const Index k = scores.rows(), m = scores.cols();
  options.check();
  if (k < 1 || m < 1) throw DataError(text("scores must have at least 1 row and 1 column; got (", k, ", ", m, ")"));
  if (!scores.allFinite()) throw DataError("scores must be finite");
  constexpr bool real = std::is_same_v<typename L::Target, Real>;
  if (real ? targets.rows() != k || targets.cols() != m : targets.size() != m)
    throw DataError(text("targets must fit scores (", k, ", ", m, "); got (", targets.rows(), ", ", targets.cols(), ")"));
  detail::check_targets(loss, k, targets);

  struct Result {
    Vector<double> values;   // (m)
    Matrix<double> dscores;  // (k,m)
  };
  const auto result_of = [&](const Matrix<double>& z, const std::vector<Index>& samples) {
    Result result{Vector<double>::Constant(z.cols(), detail::not_a_number), Matrix<double>::Constant(k, z.cols(), detail::not_a_number)};
    if constexpr (real) {
      detail::evaluate<L>(loss, z, targets(Eigen::all, samples), result.values, result.dscores);
    } else {
      detail::evaluate<L>(loss, z, targets(samples), result.values, result.dscores);
    }
    return result;
  };
  const auto value_name = [](Index j) { return text("J of sample ", j); };
  const auto slope_name = [k](Index i) { return text("dJ/dz(", i % k, ") of sample ", i / k); };
  const auto difference = [&](const Result& got, const Result& expected, double allowed) {
    const std::string found = detail::mismatch(got.values, expected.values, allowed * expected.values.cwiseAbs(), value_name);
    if (!found.empty()) return found;
    // Relative to the largest of its column: an element may be a difference of numbers like that.
    const Matrix<double> sizes = expected.dscores.cwiseAbs().colwise().maxCoeff().replicate(k, 1);  // (k,m)
    return detail::mismatch(got.dscores.reshaped(), expected.dscores.reshaped(), allowed * sizes.reshaped(), slope_name);
  };

  const parade::detail::FloatingPointGuard floating_point;
  return detail::report_of([&](GradientReport& report) {
    const std::vector<Index> all = detail::all_samples(m);
    const Matrix<double> z = scores(Eigen::all, all);
    const Result whole = result_of(z, all);
    detail::must_be_finite(whole.values, value_name);
    detail::must_be_finite(whole.dscores.reshaped(), slope_name);
    if (const std::string found = difference(result_of(z, all), whole, 0); !found.empty())
      throw detail::Fault{"the same scores must give the same bits again; is state kept between calls? " + found};

    Result alone = whole;
    detail::Differences differences(options, report);
    for (std::size_t s = 0; s < all.size(); ++s) {
      const auto j = static_cast<Index>(s);
      const Matrix<double> own = z.col(j);  // (k,1)
      const Result one = result_of(own, {all[s]});
      alone.values[j] = one.values[0];
      alone.dscores.col(j) = one.dscores;
      const double inner = own.cwiseProduct(one.dscores).cwiseAbs().sum();
      for (Index i = 0; i < k; ++i) {
        const auto value = [&](double t) -> Eigen::ArrayXd {
          Matrix<double> moved = own;
          moved(i, 0) += t;
          return result_of(moved, {all[s]}).values;
        };
        differences.compare("dJ/dz", slope_name(i + j * k), one.dscores.row(i).array(), own(i, 0), value, one.values, inner);
      }
    }
    if (const std::string found = difference(whole, alone, std::sqrt(detail::epsilon)); !found.empty())
      report.faults.push_back(text("among ", all.size(),
                                   " samples each must give what it gives alone: its column alone counts, and nothing is divided by m; ",
                                   found));
    differences.finish();
  });
}

/// Checks a regularizer at θ (P):
///
///   1. Separable: value, gradient and prox of the whole are those of its parts.
///   2. Smooth: `add_gradient` adds, and λ∇R agrees with central differences of `value`.
///   3. Proximal: u = prox(θ) is where λR(u) + Σ (u_i − θ_i)² / (2 s_i) is least; nothing from 10⁻⁶ to 2 away from a u_i is better. The
///      step sizes s are random in [½, 1). Where a regularizer has a gradient besides, each for its part of λR, the tangent of the
///      smooth part at u is taken off λR first: if both parts are convex, u must still be least.
///
/// θ should have elements of either sign. Throws DataError or OptionError where θ or options do not fit.
template <Regularizer<double> R>
GradientReport check_regularizer(const R& regularizer, const Vector<double>& theta, const GradientCheckOptions& options = {}) {
  using detail::text;
  using View = ConstVectorRef<double>;
  const Index size = theta.size();  // P
  options.check();
  if (size < 1) throw DataError("theta must have at least 1 element; got 0");
  if (!theta.allFinite()) throw DataError("theta must be finite");

  const auto name = [](Index i) { return text("theta(", i, ")"); };
  const auto value = [&](const Vector<double>& part) { return static_cast<double>(regularizer.value(View(part))); };
  const Vector<double> steps = detail::something(Eigen::ArrayXd::Ones(size)) / 2;
  // Each of these is for θ_lo … θ_{lo+n−1}.
  const auto gradient = [&](const Vector<double>& at, Vector<double> grad) {
    VectorRef<double> into = grad;
    if constexpr (SmoothRegularizer<R, double>) regularizer.add_gradient(View(at), into);
    return grad;
  };
  const auto prox = [&](Vector<double> part, const Vector<double>& step) {
    VectorRef<double> into = part;
    if constexpr (ProximalRegularizer<R, double>) regularizer.prox(into, View(step));
    return part;
  };

  const parade::detail::FloatingPointGuard floating_point;
  return detail::report_of([&](GradientReport& report) {
    const auto expect = [&](const std::string& found, const char* rule) {
      if (!found.empty()) report.faults.push_back(text(rule, ": ", found));
    };
    const Vector<double> zero = Vector<double>::Zero(size), grad = gradient(theta, zero), nearest = prox(theta, steps);
    const Eigen::ArrayXd whole = Eigen::ArrayXd::Constant(1, value(theta));
    const auto value_name = [](Index) { return "the value"; };
    detail::must_be_finite(whole, value_name);
    detail::must_be_finite(grad, name);
    detail::must_be_finite(nearest, name);

    // In parts of one element and in two halves. The values' parts, all of one sign or not, are as large as `sizes`.
    for (const Index length : {Index{1}, (size + 1) / 2}) {
      Eigen::ArrayXd sum = Eigen::ArrayXd::Zero(1), sizes = sum;
      Vector<double> part_grad(size), part_nearest(size);
      for (Index lo = 0; lo < size; lo += length) {
        const Index n = std::min(length, size - lo);
        const double part = value(theta.segment(lo, n));
        sum += part;
        sizes += std::abs(part);
        part_grad.segment(lo, n) = gradient(theta.segment(lo, n), zero.segment(lo, n));
        part_nearest.segment(lo, n) = prox(theta.segment(lo, n), steps.segment(lo, n));
      }
      const char* rule = "the regularizer must be separable: the whole is what its parts are";
      expect(detail::mismatch(whole, sum, detail::rounding(sizes, 0), value_name), rule);
      expect(detail::mismatch(grad, part_grad, detail::rounding(grad.cwiseAbs(), 0), name), rule);
      expect(detail::mismatch(nearest, part_nearest, detail::rounding(theta.cwiseAbs(), 0), name), rule);
    }

    if constexpr (SmoothRegularizer<R, double>) {
      const Vector<double> before = detail::something(grad.cwiseAbs());
      expect(detail::mismatch(gradient(theta, before), before + grad, detail::rounding(grad.cwiseAbs(), before.maxCoeff()), name),
             "add_gradient must add to what grad holds, not overwrite it");
    }
    const std::vector<Index> chosen = detail::draw(size, options.elements_per_block, Random(options.seed, Purpose::user));
    const auto at = [](double u) { return Vector<double>::Constant(1, u); };
    if constexpr (ProximalRegularizer<R, double>) {
      detail::check_prox([&](double u) { return value(at(u)); }, theta, nearest, gradient(nearest, zero), steps, chosen, report);
    } else {
      detail::Differences differences(options, report);
      for (const Index i : chosen)
        differences.compare(
            "theta", name(i), at(grad[i]), theta[i], [&](double t) -> Eigen::ArrayXd { return at(value(at(theta[i] + t))); },
            at(value(at(theta[i]))), 0);
      differences.finish();
    }
  });
}

}  // namespace parade::testing
