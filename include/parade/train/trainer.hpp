// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <parade/concepts/callback.hpp>
#include <parade/concepts/constraint.hpp>
#include <parade/concepts/dataset.hpp>
#include <parade/concepts/loss.hpp>
#include <parade/concepts/model.hpp>
#include <parade/concepts/optimizer.hpp>
#include <parade/concepts/regularizer.hpp>
#include <parade/concepts/schedule.hpp>
#include <parade/concepts/sparse.hpp>
#include <parade/concepts/windowed.hpp>
#include <parade/core/hash.hpp>
#include <parade/data/sampler.hpp>
#include <parade/engine/parallel_gradient.hpp>
#include <parade/engine/sparse_sums_training.hpp>
#include <parade/engine/sparse_training.hpp>
#include <parade/engine/update.hpp>
#include <parade/kernels/finite.hpp>
#include <parade/kernels/simd.hpp>
#include <parade/train/duality_gap.hpp>
#include <parade/train/evaluate.hpp>
#include <parade/train/metrics.hpp>
#include <parade/train/options.hpp>
#include <parade/train/sparse_evaluate.hpp>
#include <parade/train/summary.hpp>

namespace parade {
namespace detail {

/// What a Trainer has for a schedule when it was given none.
struct ConstantRate {
  double rate(double base, const TrainingTime&) const { return base; }
};

/// θ ← θ − α g, for a residual.
struct GradientStep {
  double rate;
  Index num_states() const { return 0; }
  template <class S>
  void step(std::type_identity_t<VectorRef<S>> theta, const std::type_identity_t<ConstVectorRef<S>>& grad, const StateRef<S>&,
            const StepInfo& at) const {
    for (Index i = 0; i < theta.size(); ++i) theta[i] = std::fma(static_cast<S>(-at.rate), grad[i], theta[i]);
  }
};

/// What trains M on sparse rows.
template <class M, class L, class R, class O>
struct SparseTrainingOf;
template <LinearModel M, class L, class R, class O>
struct SparseTrainingOf<M, L, R, O> {
  using type = SparseTraining<M, L, R, O>;
};
template <SumsFeatures M, class L, class R, class O>
struct SparseTrainingOf<M, L, R, O> {
  using type = SparseSumsTraining<M, L, R, O>;
};

}  // namespace detail

/// Fits a model to data by minibatch stochastic gradient descent, in parallel:
///
///   θ ← θ − α [ (1/W) Σ_i w_i ∇J(θ; x_i, y_i) + λ∇R(θ) + β∇C(θ) ]            (plain SGD; other optimizers put their own step here)
///
///   parade::Trainer trainer{
///       parade::Mlp<float>{784, 128, 64, 10},            // what is fitted
///       parade::SoftmaxCrossEntropy{},                   // J
///       parade::L2{.lambda = 1e-4},                      // λR
///       parade::Sgd{.rate = 0.1, .momentum = 0.9}};      // θ ← θ − α(…)
///   const auto summary = trainer.fit(train, {.epochs = 10, .batch_size = 128, .seed = 1});
///
/// A Schedule, a Constraint, or both in this order, may follow the optimizer.
///
/// The promise: for the same data, seed and settings, θ has the same bits after every step for any number of threads, under any load.
///
/// A model that is linear in the features, or whose first layer is (a factorization machine, an Mlp, a Sequential that begins with Dense), also takes sparse
/// rows, by the same functions; a step then costs what the entries of its batch cost: see SparseTraining and SparseSumsTraining, which also say for which
/// optimizers and regularizers.
///
/// Data that is larger than memory comes window by window (WindowedData: parade::CachedRows, parade::CachedDense), and is fitted and evaluated by the same
/// functions.
///
/// It is written with public parts only: ParallelGradient sums over a minibatch, ParallelUpdate divides once by W, adds λ∇R and β∇C and steps;
/// EpochOrder, as in `Batches`, brings the samples of each step. See examples/05_own_loop.cpp for the same loop by hand.
template <class M, class L, class R, class O, class H = detail::ConstantRate, class C = detail::Unconstrained>
  requires Model<M> && Loss<L, typename M::Scalar> && Regularizer<R, typename M::Scalar> && Optimizer<O, typename M::Scalar> &&
      Schedule<H> && Constraint<C, typename M::Scalar>
class Trainer {
 public:
  using Scalar = typename M::Scalar;
  using Batch = DenseBatch<Scalar>;
  /// Whether D comes in windows of dense samples.
  template <class D>
  static constexpr bool has_dense_windows = WindowedDataFor<D, M, Batch> && !WindowedSparseFor<D, M>;
  /// A single window of dense data knows its samples by their numbers in the whole only.
  template <class D>
  static constexpr bool is_evaluated = (Dataset<D, Batch> && !Window<D>) || SparseDataFor<D, M> || WindowedDataFor<D, M, Batch>;

  Trainer(M model, L loss, R regularizer, O optimizer, H schedule = {}, C constraint = {})
      : model_(std::move(model)),
        loss_(std::move(loss)),
        regularizer_(std::move(regularizer)),
        optimizer_(std::move(optimizer)),
        schedule_(std::move(schedule)),
        constraint_(std::move(constraint)),
        parameters_(model_.parameters()) {}
  Trainer(M model, L loss, R regularizer, O optimizer,
          C constraint) requires(!std::same_as<C, detail::Unconstrained> && !std::same_as<C, H>)
      : Trainer(std::move(model), std::move(loss), std::move(regularizer), std::move(optimizer), H{}, std::move(constraint)) {}

  /// Fits the model to `data`: θ starts anew from the seed (unless `warm_start`), and makes `epochs` passes over the data.
  ///
  /// Throws OptionError or DataError, before anything is changed, for options, shapes or data that break a rule. What a user's model,
  /// loss, regularizer, … or data set throws reaches the caller; θ is then as it was before that step. So does what a callback throws; the step
  /// that it was told of stays. A number that is not finite is no exception: see FitOptions::on_divergence and Summary::divergences.
  template <Dataset<Batch> D, Callback... Callbacks>
    requires(!Window<D>)
  Summary fit(const D& data, const FitOptions& options = {}, Callbacks&&... callbacks) { return fit_to(data, options, callbacks...); }
  template <SparseDataFor<M> D, Callback... Callbacks>
    requires(!Window<D>)
  Summary fit(const D& data, const FitOptions& options = {}, Callbacks&&... callbacks) { return fit_to(data, options, callbacks...); }
  /// The order is that of `data.windows()`, and options.windows is that or nothing. What goes wrong while windows are brought (a file that was cut off, say)
  /// is thrown; θ is that of the last step.
  template <WindowedDataFor<M, Batch> D, Callback... Callbacks>
  Summary fit(const D& data, const FitOptions& options = {}, Callbacks&&... callbacks) {
    return fit_to(data, options, callbacks...);
  }

  /// One step on a batch that the user brings: all samples of `data`, or of a window of a stream those that it says are to be visited. θ starts
  /// from the seed if there is none yet. Returns the sums over the batch at the θ before the step. Throws as `fit` does, and std::runtime_error if the step is not finite; θ is
  /// then as it was. A window without samples to visit (all that it has fill a batch with those of the next one) is no error and no step: it is checked as
  /// others are, but for its values, the sums are 0, and nothing changes. Data without samples are an error.
  template <Dataset<Batch> D>
  BatchSum partial_fit(const D& data, const StepOptions& options = {}) {
    return step_on(data, options);
  }
  template <SparseDataFor<M> D>
  BatchSum partial_fit(const D& data, const StepOptions& options = {}) {
    return step_on(data, options);
  }

  /// Starts anew: θ from the seed, the optimizer's vectors at zero, step 0.
  void initialize(std::uint64_t seed) {
    check_not_running();
    start_from_seed(seed);
  }

  /// Scores Z (k,n) for every sample.
  template <Dataset<Batch> D>
    requires(!Window<D>)
  Matrix<Scalar> scores(const D& data) { return compute_scores<Batch>(team(), model_, theta(), data); }

  template <SparseDataFor<M> D>
  Matrix<Scalar> scores(const D& data) {
    return compute_sparse_scores(team(), model_, theta(), data);
  }
  template <WindowedDataFor<M, Batch> D>
  Matrix<Scalar> scores(const D& data) {
    if constexpr (trains_sparse<D>)
      return compute_sparse_scores(team(), model_, theta(), data);
    else
      return compute_scores<Batch>(team(), model_, theta(), data);
  }

  /// For a loss on labels, the class of every sample (n): argmax of its scores, or for one output 1 where the score is above 0, else 0. For a
  /// loss on real targets, the scores (k,n).
  template <class D>
    requires DataFor<D, M, Batch> || WindowedDataFor<D, M, Batch>
  auto predict(const D& data) {
    Matrix<Scalar> z = scores(data);
    if constexpr (std::is_same_v<typename L::Target, Label>) {
      Vector<Label> labels(z.cols());
      for (Index j = 0; j < z.cols(); ++j) labels[j] = predicted_label(z.col(j));
      return labels;
    } else {
      return z;
    }
  }

  /// Mean loss, accuracy and confusion on a data set; exact for any number of samples.
  template <Dataset<Batch> D>
    requires(!Window<D>)
  Evaluation evaluate(const D& data) { return parade::evaluate<Batch>(team(), model_, loss_, theta(), data); }
  template <SparseDataFor<M> D>
  Evaluation evaluate(const D& data) {
    return evaluate_sparse(team(), model_, loss_, theta(), data);
  }
  template <WindowedDataFor<M, Batch> D>
  Evaluation evaluate(const D& data) {
    if constexpr (trains_sparse<D>)
      return evaluate_sparse(team(), model_, loss_, theta(), data);
    else
      return parade::evaluate<Batch>(team(), model_, loss_, theta(), data);
  }

  /// What the functions in metrics/ say of the scores on a data set, all of them in one pass, in parallel, with the weights of the samples: ClassMetrics for a
  /// loss on labels, RegressionMetrics for one on real targets (of scores, so that a loss with a link function, as Poisson's, is measured before it).
  /// Each figure has the bits of its function of `scores(data)`, for any number of threads; `evaluate` sums in another order, and may differ in the last
  /// bits.
  ///
  ///   const auto metrics = trainer.metrics(test, {.top = 3});
  ///   std::cout << metrics.confusion << metrics.top_k_accuracy << ' ' << metrics.log_loss << '\n';
  ///
  /// Throws as `evaluate`, OptionError for options that break a rule, and DataError for no samples, weights that are all 0, a score that is NaN, and
  /// scores without a log loss (one is +∞, or all are −∞).
  template <class D>
    requires is_evaluated<D>
  auto metrics(const D& data, const MetricsOptions& options = {}) {
    if constexpr (trains_sparse<D>)
      return compute_sparse_metrics(team(), model_, loss_, theta(), data, options);
    else
      return compute_metrics<Batch>(team(), model_, loss_, theta(), data, options);
  }

  /// The share of the weight that is predicted right.
  template <class D>
    requires(is_evaluated<D>&& std::same_as<typename L::Target, Label>)
  double accuracy(const D& data) { return evaluate(data).accuracy; }

  /// How far θ is from a stationary point of F(θ) + λR(θ) over all of the data, F = (1/W) Σ w_i J_i and all that is smooth: the norm of the proximal
  /// gradient map,
  ///
  ///   ‖θ − Π_C(prox_{αλR}(θ − α∇F(θ)))‖₂ / α
  ///
  /// and ‖∇F‖₂ where there is neither a proximal term nor a projection (Beck: "First-order methods in optimization", 2017, chapter 10). It is 0 at a stationary
  /// point and nowhere else, whatever α > 0, and so certifies the optimum of a convex problem: with a proximal term or a projection, and with both on one
  /// parameter where the one after the other is the proximal step of both (L1 or an elastic net with a box or a ball around 0; not with a simplex). α must not be so small
  /// that rounding hides the step: α|g| well above eps|θ|. Regularizer and constraint are as the last step left them; the optimizer is not asked. Of a
  /// model that trains differently (dropout, batch normalization) it is that of training; statistics do not count. Not to be called by a callback. Throws as `evaluate`,
  /// and OptionError unless α is finite and above 0. Not finite if a loss is not. Dense data that comes window by window gives the bits of data in memory.
  template <class D>
    requires((Dataset<D, Batch> && !Window<D>) || has_dense_windows<D>)
  double residual(const D& data, double step = 1) {
    check_residual_step(step);
    check_not_running();
    const Vector<Scalar>& from = theta();
    check_parts(data, {steps_, 0, 0}, false);
    if (data.size() == 0) throw DataError("the data must have at least 1 sample; got 0");
    Engine engine(model_, loss_, {.threads = threads_, .shard_size = shard_size_});
    struct Mean {  // in the place of an engine
      Vector<double> grad;
      void sum_range(Range range, Scalar* out) const {
        for (Index i = range.begin; i < range.end; ++i) out[i - range.begin] = static_cast<Scalar>(grad[i]);
      }
      static constexpr bool sum_range_computes() { return false; }
      static void begin_update() {}
      static void updated(Range, const Scalar*) {}
      static void end_update(bool) {}
    } source;
    const auto b = static_cast<std::size_t>(std::min<Index>(data.size(), 256));
    std::vector<Index> samples(WindowedData<D> ? 0 : static_cast<std::size_t>(data.size()));
    std::iota(samples.begin(), samples.end(), Index{0});
    if constexpr (WindowedData<D>) {  // any window says what a batch needs
      const auto stream = data.open({.batch_size = static_cast<Index>(b), .epochs = 1, .shuffle = false});
      engine.reserve(stream->next(), static_cast<Index>(b));
    } else {
      engine.reserve(data, static_cast<Index>(b));
    }
    const R& regularizer = update_ ? update_->regularizer() : regularizer_;
    const C& constraint = update_ ? update_->constraint() : constraint_;
    ParallelUpdate<Scalar, R, C, detail::GradientStep> update(parameters_, regularizer, constraint, {step}, engine.team());
    TrainingState<Scalar> state(parameters_.size(), 0), next = state;
    state.theta = from;
    bool finite = false;
    engine.team().run([&] {
      detail::check_values<Batch>(engine.team(), model_, loss_, data);
      Vector<Scalar> of_batch;
      const auto weight =
          add_batches(engine, from, data, samples, b, {0, steps_}, of_batch, source.grad, [](const auto&) { return false; });
      if (!weight) return;
      source.grad /= *weight;
      finite = update(source, 1, state, next, {step, steps_ + 1});
    });
    if (!finite) return std::numeric_limits<double>::quiet_NaN();
    double squares = 0;
    for (const auto& block : parameters_) {
      if (block.role == Role::statistic) continue;
      for (Index i = block.offset; i < block.offset + block.size(); ++i) {
        const double moved = static_cast<double>(from[i]) - static_cast<double>(next.theta[i]);
        squares = std::fma(moved, moved, squares);
      }
    }
    return std::sqrt(squares) / step;
  }

  /// The same, in double, for a linear model on sparse data, in memory or window by window, with a regularizer that has a `shrinkage` (L2, L1,
  /// ElasticNet, NoRegularizer) and without a constraint: OptionError where one is for a parameter.
  template <class D>
    requires(SparseDataFor<D, M> || WindowedSparseFor<D, M>)
  double residual(const D& data, double step = 1) requires LinearModel<M> && HasShrinkage<R> && Loss<L, double> {
    check_not_running();
    check_residual_step(step);
    if (const std::string why = no_duality_gap(); !why.empty())
      throw OptionError(detail::text("there is no residual on these data: ", why));
    Team& team = this->team();
    return detail::linear_residual(team, model_, loss_, update_->regularizer(), theta(), data, step);
  }

  /// How far the objective at θ is at most from its least value: see parade::duality_gap, which also says for which models, losses and
  /// regularizers there is one. Throws as that does, and OptionError where a constraint is for a parameter: there is no such certificate
  /// then.
  template <class D>
    requires is_evaluated<D> DualityGap duality_gap(const D& data, const DualityGapOptions& options = {}) {
      if (const std::string why = no_duality_gap(); !why.empty()) throw OptionError(detail::text("there is no duality gap: ", why));
      Team& team = this->team();
      return parade::duality_gap(team, model_, loss_, update_->regularizer(), theta(), data, options);
    }

  /// θ (P). Throws std::logic_error before the first fit, partial_fit or initialize. What is returned is θ until the next step or change; in a callback of
  /// a run on sparse data it is a copy that is made by each call, in O(P), for one thread at a time.
  const Vector<Scalar>& theta() const {
    if (!initialized()) throw std::logic_error("the trainer holds no parameters yet: call fit, partial_fit or initialize first");
    if (sparse_ && sparse_->is_behind()) {  // a callback wants to know: to bring θ itself up to date would change its bits
      sparse_->copy_theta(looked_at_);
      return looked_at_;
    }
    return states_[current_].theta;
  }
  /// Replaces θ; the optimizer's vectors and the step count start anew. `fit` goes on from it only with `warm_start`.
  void set_theta(const Vector<Scalar>& theta) {
    check_not_running();
    detail::check_theta(parameters_.size(), theta.size());
    start_from(theta);
  }

  /// The parameters of that name as a matrix. Throws std::out_of_range, listing the names there are.
  Matrix<Scalar> parameter(std::string_view name) const { return slice<Scalar>(ConstVectorRef<Scalar>(theta()), parameters_[name]); }
  const ParameterList& parameters() const { return parameters_; }

  /// The average of θ that an averaging optimizer (Ema, PolyakAverage, …) keeps; statistics are those of θ, and before the first
  /// step all is. To be used: `set_theta(averaged_theta())`. Throws as `theta`.
  template <class Optimizer = O>
    requires HasAverage<Optimizer> Vector<Scalar> averaged_theta()
  const {
    Vector<Scalar> average = theta();
    if (steps_ == 0) return average;
    const auto column = states_[current_].states().col(Index{optimizer_.average_state()});
    for (const auto& block : parameters_)
      if (block.role != Role::statistic) average.segment(block.offset, block.size()) = column.segment(block.offset, block.size());
    return average;
  }

  std::int64_t steps() const { return steps_; }
  const M& model() const { return model_; }
  const L& loss() const { return loss_; }
  /// As the last step left it, with the multipliers of an augmented Lagrangian.
  const C& constraint() const { return update_ ? update_->constraint() : constraint_; }

 private:
  using Lazy = detail::LazyTheta<Scalar>;
  using Engine = ParallelGradient<M, L, Batch>;
  using Update = ParallelUpdate<Scalar, R, C, O>;

  /// What trains on sparse rows: compiled where there are some.
  auto& sparse() { return static_cast<typename detail::SparseTrainingOf<M, L, R, O>::type&>(*sparse_); }

  /// For FitOptions::svrg.
  struct Anchor {
    Vector<Scalar> theta;     // θ̃
    Vector<Scalar> mean;      // G: (1/W) Σ w_i ∇J_i(θ̃) over all data
    Vector<Scalar> of_batch;  // Σ w_i ∇J_i(θ̃) over the batch
    Vector<double> sum;       // for G
    std::vector<Range> statistics;
    bool is_valid = false;

    /// What is measured is no gradient whose variance could be reduced.
    bool is_for(Range range) const {
      return std::none_of(statistics.begin(), statistics.end(), [&](Range of) { return range.begin >= of.begin && range.begin < of.end; });
    }
  };

  /// The sum of a batch's gradients, for ParallelUpdate: the engine's, or with an anchor that of the variance-reduced ones.
  struct Gradient {
    Engine& engine;
    const Anchor* anchor;
    Scalar weight;

    void sum_range(Range range, Scalar* out) const {
      engine.sum_range(range, out);
      if (anchor == nullptr || !anchor->is_for(range)) return;
      for (Index i = 0; i < range.size(); ++i)
        out[i] = std::fma(weight, anchor->mean[range.begin + i], out[i] - anchor->of_batch[range.begin + i]);
    }
    bool sum_range_computes() const { return engine.sum_range_computes(); }
    void begin_update() { engine.begin_update(); }
    void updated(Range range, const Scalar* theta) { engine.updated(range, theta); }
    void end_update(bool stands) { engine.end_update(stands); }
  };

  /// What is in memory at a time: all of the data, or one of the windows that it comes in.
  template <class D>
  struct InMemory {
    using type = D;
  };
  template <WindowedData D>
  struct InMemory<D> {
    using type = typename D::Window;
  };
  template <class D>
  static constexpr bool trains_sparse = SparseData<typename InMemory<D>::type>;

  /// Where the samples of a fit come from.
  template <class D>
  struct Source {
    const D& all;
    const D& part() const { return all; }
  };
  template <WindowedData D>
  struct Source<D> {
    const D& all;
    WindowPlan plan = {};
    decltype(std::declval<const D&>().open({})) stream = {};
    const typename D::Window* window = nullptr;  // the last that came
    bool is_new = true;                          // nothing was done with it yet

    void open() {
      stream = all.open(plan);
      window = &stream->next();
      is_new = true;
    }
    void close() {
      window = nullptr;
      stream.reset();
    }
    const typename D::Window& part() const { return *window; }
  };

  /// What one call of `fit` carries along.
  struct Run {
    const FitOptions& options;
    std::int64_t start;  // steps taken before
    TrainingTime time;
    PhaseSeconds before;  // what the engine had counted
    Summary summary;
    Vector<Scalar> remembered;  // θ at the last Signal::remember
    std::optional<EpochOrder> order;
    double rate_factor = 1;  // halved by OnDivergence::halve_rate
    bool stopped = false;
  };

  template <class D, class... Callbacks>
  Summary fit_to(const D& data, const FitOptions& options, Callbacks&... callbacks) {
    check_not_running();
    const Index n = data.size();
    if (n == 0) throw DataError("the data must have at least 1 sample; got 0");
    options.check(n);
    if constexpr (WindowedData<D>) {
      if (options.windows != WindowShuffle{} && options.windows != data.windows())
        throw OptionError(detail::text("windows must be those of the data, ", data.windows().block, " samples and ", data.windows().blocks,
                                       " blocks, or not be given; got ", options.windows.block, " and ", options.windows.blocks));
    }
    if constexpr (trains_sparse<D> && !LinearModel<M>)
      if (options.svrg != 0)
        throw OptionError(detail::text(
            "svrg must be 0 on sparse rows for a model that is not linear: its gradient over all data has no exact lazy form; got ",
            options.svrg));
    const std::int64_t steps_per_epoch = (n + options.batch_size - 1) / options.batch_size;
    const std::int64_t start = options.warm_start ? steps_ : 0;
    // A run that a callback ends may have been given more epochs than steps can be counted.
    const std::int64_t most_epochs = (std::numeric_limits<std::int64_t>::max() - start) / steps_per_epoch;
    const TrainingTime time{start, steps_per_epoch, start + steps_per_epoch * std::min<std::int64_t>(options.epochs, most_epochs)};
    check_parts(data, time);
    check_callbacks(callbacks...);

    // What the process may use can have changed since the last fit.
    if (options.threads == 0 && engine_ && engine_->team().asked() != thread_limits().available()) threads_ = -1;  // set_up makes another
    set_up(options.threads, options.shard_size);
    Team& team = engine_->team();
    const bool goes_on = options.warm_start && initialized();
    const auto check = [&] {
      if (!options.check_data) return;
      check_values(data);
      (check_validation_values(callbacks), ...);
    };
    Source<D> source{.all = data};
    if constexpr (WindowedData<D>) {
      team.run(check);  // before there are windows for training: that would be twice the memory
      source.plan = {options.batch_size, options.seed, goes_on ? epochs_ : 0, std::max<Index>(1, options.epochs), options.shuffle};
      source.open();
    }
    reserve(source.part(), options.batch_size, options.svrg > 0);
    Run run{options, start, time, {}, {}, {}, {}};
    Summary& summary = run.summary;
    summary.seed = options.seed;
    summary.samples = n;
    summary.batch_size = options.batch_size;
    summary.shard_size = engine_->plan(options.batch_size).shard_size();
    summary.shards = engine_->plan(options.batch_size).shards();
    summary.history.reserve(static_cast<std::size_t>(std::min<Index>(options.epochs, 1000)));  // a callback may end a run of any length

    run.before = phase_seconds();
    with_hooks(
        [&] {
          team.run([&] {
            if constexpr (!WindowedData<D>) check();
            if (!goes_on) start_from_seed(options.seed);
            if constexpr (trains_sparse<D>) begin_sparse();
            for (Index epoch = 1; epoch <= options.epochs && !run.stopped; ++epoch) this->epoch(run, epoch, source, callbacks...);
          });
        },
        callbacks...);
    if (run.remembered.size() > 0) state().theta = run.remembered;
    finish(run);
    (add_certificate(summary, data, callbacks), ...);
    return summary;
  }

  template <class D>
  BatchSum step_on(const D& data, const StepOptions& options) {
    check_not_running();
    std::span<const Index> samples;
    if constexpr (Window<D>) samples = data.samples();
    const Index b = Window<D> ? static_cast<Index>(samples.size()) : data.size();
    if (b == 0 && !Window<D>) throw DataError("the batch must have at least 1 sample; got 0");
    const Index least = std::max<Index>(b, 1);
    FitOptions{.batch_size = least, .threads = options.threads, .shard_size = options.shard_size}.check(least);
    const TrainingTime time{steps_, 0, 0};
    check_parts(data, time);
    if (b == 0) return {};
    set_up(options.threads, options.shard_size);
    reserve(data, b);
    if constexpr (!Window<D>) {
      if (static_cast<Index>(everything_.size()) != b) {
        everything_.resize(static_cast<std::size_t>(b));
        std::iota(everything_.begin(), everything_.end(), Index{0});
      }
      samples = everything_;
    }
    BatchSum sum;
    engine_->team().run([&] {
      if (options.check_data) check_values(data);
      if (!initialized()) start_from_seed(options.seed);
      if constexpr (SparseData<D>) begin_sparse(true);
      const Settled settled(SparseData<D> ? sparse_.get() : nullptr);
      sum = accumulate(data, samples, options.seed, false);
      if (!update(data, sum, rate(time))) throw std::runtime_error(detail::text("the step was not taken: ", locate(data, 0).text()));
      engine_->end_step();
    });
    return sum;
  }

  /// Brings sparse training up to date when it goes, also by an exception.
  class Settled {
   public:
    explicit Settled(Lazy* sparse) : sparse_(sparse) {}
    ~Settled() { now(); }
    Settled(const Settled&) = delete;
    Settled& operator=(const Settled&) = delete;
    void now() const {
      if (sparse_) sparse_->settle();
    }

   private:
    Lazy* sparse_;
  };

  /// Calls on_begin now, and on_end when it goes. An on_end must not throw.
  template <class T>
  class Hook {
   public:
    explicit Hook(T& callback) : callback_(callback) {
      if constexpr (HasOnBegin<T>) callback.on_begin();
    }
    ~Hook() {
      if constexpr (HasOnEnd<T>) callback_.on_end();
    }
    Hook(const Hook&) = delete;
    Hook& operator=(const Hook&) = delete;

   private:
    T& callback_;
  };

  /// Runs the body between on_begin and on_end of every callback; those begun are ended, also if a later one's on_begin throws.
  template <class Body>
  static void with_hooks(Body&& body) {
    body();
  }
  template <class Body, class T, class... Rest>
  static void with_hooks(Body&& body, T& first, Rest&... rest) {
    const Hook<T> hook(first);
    with_hooks(body, rest...);
  }

  using Clock = std::chrono::steady_clock;
  static double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

  template <class D>
  void check_parts(const D& data, const TrainingTime& start, bool trains = true) const {
    if (!(optimizer_.rate >= 0) || !std::isfinite(static_cast<double>(optimizer_.rate)))
      throw OptionError(detail::text("the optimizer's rate must be finite and at least 0; got ", optimizer_.rate));
    const auto check = [this](const auto& part) {
      if constexpr (requires { part.check(); }) part.check();
      if constexpr (requires { part.check(parameters_); }) part.check(parameters_);
    };
    check(loss_);
    check(regularizer_);
    check(constraint_);
    check(optimizer_);
    if constexpr (requires { schedule_.check(start); })
      if (trains) schedule_.check(start);
    detail::check_shapes(model_, loss_, data);
  }

  template <class... Callbacks>
  void check_callbacks(const Callbacks&... callbacks) const {
    constexpr int sources = (0 + ... + (HasValidationData<const Callbacks&> ? 1 : 0));
    static_assert(sources <= 1, "at most one callback of a fit may bring validation data");
    [[maybe_unused]] const auto check = [this](const auto& callback) {
      using T = std::remove_cvref_t<decltype(callback)>;
      if constexpr (HasValidationData<const T&>) {
        const auto& data = callback.validation_data();
        if (data.size() == 0) throw DataError("the validation data must have at least 1 sample; got 0");
        detail::check_shapes(model_, loss_, data);
      }
      if constexpr (WantsCertificate<const T&>) check_residual_step(static_cast<double>(callback.certificate_step()));
      if constexpr (requires { requires T::needs_validation; })
        if (sources == 0)
          throw OptionError("a callback watches the validation loss, but there is no validation data: add parade::Validate{data}");
    };
    (check(callbacks), ...);
  }

  template <class T>
  void check_validation_values(const T& callback) {
    if constexpr (HasValidationData<const T&>) check_values(callback.validation_data());
  }
  template <class D>
  void check_values(const D& data) {
    if constexpr (trains_sparse<D>)
      detail::check_sparse_values(engine_->team(), model_, loss_, data, true, false);
    else
      detail::check_values<Batch>(engine_->team(), model_, loss_, data);
  }

  template <class D>
  void reserve(const D& data, Index batch_size, [[maybe_unused]] bool is_anchored = false) {
    if constexpr (SparseData<D>) {
      if constexpr (!std::same_as<C, detail::Unconstrained>)
        for (const auto& block : parameters_)
          if (detail::applies_to(constraint_, block)) throw OptionError("constraints have no lazy form: there are none on sparse data");
      if (!sparse_)
        sparse_ = std::make_unique<std::remove_cvref_t<decltype(sparse())>>(model_, loss_, regularizer_, optimizer_, engine_->team(),
                                                                            shard_size_);
      sparse().check();
      if constexpr (LinearModel<M>) {
        if (is_anchored) sparse().check_anchored();
        sparse().reserve(data, batch_size, is_anchored);
      } else {
        sparse().reserve(data, batch_size);
      }
    } else {
      engine_->reserve(data, batch_size);
    }
  }

  template <class D>
  BatchSum accumulate(const D& data, std::span<const Index> samples, std::uint64_t seed, bool updated,
                      [[maybe_unused]] std::span<const Index> next = {}) {
    if constexpr (SparseData<D> && SumsFeatures<M>)
      return sparse().accumulate(data, samples, {seed, steps_});
    else if constexpr (SparseData<D>)
      return sparse().accumulate(data, samples, next);
    else
      return updated ? engine_->accumulate_updated(state().theta, data, samples, {seed, steps_})
                     : engine_->accumulate(state().theta, data, samples, {seed, steps_});
  }

  /// The engine for these settings: kept from call to call while they stay the same.
  void set_up(int threads, Index shard_size) {
    if (engine_ && threads == threads_ && shard_size == shard_size_) return;
    R regularizer = update_ ? update_->regularizer() : regularizer_;  // what has changed in them goes on
    C constraint = update_ ? update_->constraint() : constraint_;
    drop_engine();
    auto engine = std::make_unique<Engine>(model_, loss_, EngineOptions{threads, shard_size});
    update_.emplace(parameters_, std::move(regularizer), std::move(constraint), optimizer_, engine->team());
    update_->reserve();
    engine_ = std::move(engine);
    threads_ = threads;
    shard_size_ = shard_size;
  }

  void drop_engine() {
    sparse_.reset();  // they refer to the engine's team
    update_.reset();
    engine_.reset();
  }

  /// For evaluation: that of the last fit, else one with all threads.
  Team& team() {
    if (!engine_) set_up(0, 0);
    return engine_->team();
  }

  double rate(const TrainingTime& at) const {
    const double rate = static_cast<double>(schedule_.rate(static_cast<double>(optimizer_.rate), at));
    if (!(rate >= 0) || !std::isfinite(rate))
      throw OptionError(detail::text("the schedule's rate must be finite and at least 0; it is ", rate, " at step ", at.step));
    return rate;
  }

  void begin_sparse(bool is_for_one = false) {
    if constexpr (SumsFeatures<M>)
      sparse().begin(state(), steps_, update_->regularizer());
    else
      sparse().begin(state(), steps_, is_for_one);
  }

  /// The step from the gradients that the engine holds; false, and nothing is changed, if a number is not finite.
  template <class D>
  bool update(const D& data, const BatchSum& sum, double rate, bool use_anchor = false) {
    if (sum.weight == 0) return true;  // a batch of weight 0 is no batch
    if (!std::isfinite(sum.loss)) return false;
    if constexpr (SparseData<D>) {
      const bool finite = sparse().update(data, sum.weight, {rate, steps_ + 1});
      if constexpr (SumsFeatures<M> && requires(R & regularizer, const StepInfo& at) { regularizer.begin_step(at); })
        update_->set_regularizer(sparse().regularizer());
      if (!finite) return false;
    } else {
      if (states_[1 - current_].theta.size() == 0) {  // the first step on dense data; it writes all of it
        TrainingState<Scalar> other(parameters_.size(), optimizer_.num_states());
        states_[1 - current_] = std::move(other);
      }
      Gradient gradient{*engine_, use_anchor ? &anchor_ : nullptr, static_cast<Scalar>(sum.weight)};
      if (!(*update_)(gradient, sum.weight, state(), states_[1 - current_], {rate, steps_ + 1})) return false;
      current_ = 1 - current_;
    }
    ++steps_;
    return true;
  }

  /// work(data, samples) for batches of b samples in the order of the data, which for data in memory is `in_order`, until it says false. To be called
  /// in the region of the engine, which has reserved what such batches need. Before the first batch of each window begin(window) is called.
  template <class D, class Work, class Begin>
  static void for_each_batch(Engine& engine, const D& data, std::span<const Index> in_order, std::size_t b, const Work& work,
                             [[maybe_unused]] const Begin& begin) {
    const auto go_through = [&](const auto& part, std::span<const Index> samples) {
      for (std::size_t first = 0; first < samples.size(); first += b)
        if (!work(part, samples.subspan(first, std::min(b, samples.size() - first)))) return false;
      return true;
    };
    if constexpr (WindowedData<D>) {
      const auto stream = data.open({.batch_size = static_cast<Index>(b), .epochs = 1, .shuffle = false});
      struct Last {  // nobody reads a window that goes
        Team& team;
        ~Last() { team.wait_for_late(); }
      } last{engine.team()};
      for (bool more = true; more;) {
        const auto& window = stream->next();
        begin(window);
        more = go_through(window, window.samples()) && !window.ends_epoch();
        engine.end_step();
        engine.team().wait_for_late();
      }
    } else {
      go_through(data, in_order);
      engine.end_step();
    }
  }

  /// Σ w_i ∇J_i(θ) over all samples into `total` (P): of batches of b in the order of the data, added one after the other in double. Returns Σ w_i. Of a batch whose loss or
  /// gradient is not finite go_on(data) is asked, with what is in memory of the data: it is left out with its weight, or ends it, without an answer.
  template <class D, class GoOn>
  static std::optional<double> add_batches(Engine& engine, const Vector<Scalar>& theta, const D& data, std::span<const Index> in_order,
                                           std::size_t b, const TrainingStep& at, Vector<Scalar>& of_batch, Vector<double>& total,
                                           const GoOn& go_on) {
    of_batch.resize(theta.size());
    total.setZero(theta.size());
    double weight = 0;
    bool is_whole = true;
    const auto work = [&](const auto& part, std::span<const Index> samples) {
      const BatchSum sum = engine.accumulate(theta, part, samples, at);
      engine.reduce(of_batch);
      if (!std::isfinite(sum.loss) || !kernels::all_finite(of_batch.data(), of_batch.size())) return is_whole = go_on(part);
      weight += sum.weight;
      engine.team().for_each(static_cast<Index>(engine.ranges().size()), [&](Index r, int) {
        const Range range = engine.ranges()[static_cast<std::size_t>(r)];
        for (Index i = range.begin; i < range.end; ++i) total[i] += static_cast<double>(of_batch[i]);
      });
      return true;
    };
    for_each_batch(engine, data, in_order, b, work, [](const auto&) {});
    if (!is_whole) return std::nullopt;
    return weight;
  }

  /// θ̃ becomes θ, and G the gradient over all data there. What is not finite is treated as in a step.
  template <class D>
  void set_anchor(Run& run, Index epoch, const D& data) {
    const FitOptions& options = run.options;
    const auto b = static_cast<std::size_t>(options.batch_size);
    std::span<const Index> in_order;
    if constexpr (!WindowedData<D>) in_order = run.order->in_order();
    const auto go_on = [&](const auto& part) {
      if (options.on_divergence != OnDivergence::stop) return true;
      engine_->end_step();
      diverged(run, epoch, part);
      return false;
    };
    if constexpr (trains_sparse<D>) {
      double weight = 0;
      bool is_whole = true;
      const auto work = [&](const auto& part, std::span<const Index> samples) {
        const auto of_batch = sparse().add_to_anchor(part, samples);
        if (!of_batch) return is_whole = go_on(part);
        weight += *of_batch;
        return true;
      };
      sparse().begin_anchor();
      for_each_batch(*engine_, data, in_order, b, work, [this](const auto& window) { sparse().change_rows(window); });
      sparse().end_anchor(is_whole ? weight : 0);
    } else {
      anchor_.theta = state().theta;
      anchor_.statistics.clear();
      for (const auto& block : parameters_)
        if (block.role == Role::statistic) anchor_.statistics.push_back({block.offset, block.offset + block.size()});
      const auto weight =
          add_batches(*engine_, anchor_.theta, data, in_order, b, {options.seed, steps_}, anchor_.of_batch, anchor_.sum, go_on);
      anchor_.is_valid = weight.has_value() && *weight > 0;
      if (anchor_.is_valid) anchor_.mean = (anchor_.sum / *weight).template cast<Scalar>();
    }
  }

  template <class D, class... Callbacks>
  void epoch(Run& run, Index epoch, Source<D>& source, Callbacks&... callbacks) {
    const auto begin = Clock::now();
    const FitOptions& options = run.options;
    const auto b = static_cast<std::size_t>(options.batch_size), n = static_cast<std::size_t>(run.summary.samples);
    if constexpr (!WindowedData<D>)
      if (!run.order) run.order.emplace(source.all.size(), options.seed, options.windows);
    if constexpr (requires { source.all.begin_epoch(epochs_); }) {
      engine_->team().wait_for_late();  // who still reads the samples of the epoch before
      source.all.begin_epoch(epochs_);
    }
    if constexpr (!trains_sparse<D> || LinearModel<M>)
      if (options.svrg > 0 && (epoch - 1) % options.svrg == 0) {
        if constexpr (WindowedData<D>) {  // the windows for training go first: that would be twice the memory
          engine_->end_step();
          engine_->team().wait_for_late();
          source.close();
        }
        set_anchor(run, epoch, source.all);
        if constexpr (WindowedData<D>) {
          source.plan.first_epoch = epochs_;
          source.plan.epochs = options.epochs - (epoch - 1);
          if (!run.stopped) source.open();
          if constexpr (trains_sparse<D>)
            if (!run.stopped) sparse().change_rows(*source.window);
        }
      }
    const bool use_anchor = options.svrg > 0 && anchor_.is_valid;

    const Settled settled(trains_sparse<D> ? sparse_.get() : nullptr);
    BatchSum total;
    std::size_t done = 0;  // samples
    std::uint64_t bytes = 0;
    bool finished = false;  // every batch has had its turn
    double callback_seconds = 0, alpha = 0;
    const auto train_on = [&](const auto& data, std::span<const Index> samples) {
      constexpr bool is_sparse = trains_sparse<D>;
      for (std::size_t first = 0; first < samples.size() && !run.stopped; first += b) {
        const auto batch = samples.subspan(first, std::min(b, samples.size() - first));
        done += batch.size();
        bool is_sound = true;
        if constexpr (!is_sparse) {
          if (use_anchor) {
            is_sound = std::isfinite(engine_->accumulate(anchor_.theta, data, batch, {options.seed, steps_}).loss);
            engine_->reduce(anchor_.of_batch);
          }
        }
        const BatchSum sum = accumulate(data, batch, options.seed, true,
                                        samples.subspan(first + batch.size()).first(std::min(b, samples.size() - first - batch.size())));
        run.time.step = steps_;
        alpha = run.rate_factor * rate(run.time);
        ((alpha *= rate_factor(callbacks)), ...);
        if (!is_sound || !update(data, sum, alpha, use_anchor)) {
          engine_->end_step();
          diverged(run, epoch, data);
          finished = !run.stopped && done == n;
          continue;
        }
        finished = done == n;
        total = total + sum;
        if constexpr ((HasOnStep<Callbacks&> || ...)) {
          engine_->end_step();
          const auto called = Clock::now();
          StepReport report{steps_, epoch, options.epochs, static_cast<Index>(done), run.summary.samples, 0, alpha};
          report.loss = sum.weight > 0 ? sum.loss / sum.weight : 0;
          report.bytes_done = bytes;
          report.bytes = detail::file_bytes(source.all);
          (ask_step(run, epoch, callbacks, report), ...);
          callback_seconds += seconds_since(called);
        }
      }
    };
    if constexpr (WindowedData<D>) {
      for (bool more = true; more && !run.stopped;) {
        if (!source.is_new) {
          engine_->end_step();
          engine_->team().wait_for_late();
          source.window = &source.stream->next();
          if constexpr (trains_sparse<D>) sparse().change_rows(*source.window);
        }
        source.is_new = false;
        bytes += detail::file_bytes(*source.window);
        train_on(*source.window, source.window->samples());
        more = !source.window->ends_epoch();
      }
    } else {
      train_on(source.all, options.shuffle ? run.order->shuffle(epochs_) : run.order->in_order());
    }
    engine_->end_step();
    settled.now();
    if (run.stopped && !finished) {  // what is left of an epoch is no epoch
      run.summary.seconds.wall += seconds_since(begin) - callback_seconds;
      run.summary.seconds.callbacks += callback_seconds;
      return;
    }
    ++epochs_;

    EpochReport report{epoch, options.epochs, steps_, total.samples, 0, 0, 0, alpha, 0, {}};
    report.loss = total.weight > 0 ? total.loss / total.weight : std::numeric_limits<double>::quiet_NaN();  // every batch was left out
    report.penalty = update_->penalty(state().theta);
    if constexpr (!std::same_as<C, detail::Unconstrained>) report.violation = update_->violation(state().theta);
    report.seconds = seconds_since(begin) - callback_seconds;
    report.bytes = bytes;
    const auto called = Clock::now();
    (add_validation(report, callbacks), ...);
    run.summary.history.push_back(report);
    update_->end_epoch(state().theta);
    (ask_epoch(run, epoch, callbacks, report), ...);
    run.summary.seconds.wall += report.seconds;
    run.summary.seconds.callbacks += callback_seconds + seconds_since(called);
  }

  template <class T>
  void add_validation(EpochReport& report, T& callback) {
    if constexpr (HasValidationData<const T&>) report.validation = evaluate(callback.validation_data());
  }
  static void check_residual_step(double step) {
    if (!(step > 0 && std::isfinite(step)))
      throw OptionError(detail::text("the step size of a residual must be finite and above 0; got ", step));
  }
  /// Why there is no duality gap with these settings; empty if there is.
  std::string no_duality_gap() const {
    for (const auto& block : parameters_)
      if (detail::applies_to(constraint_, block)) return "there is a constraint";
    return {};
  }
  template <class D, class T>
  void add_certificate(Summary& summary, const D& data, const T& callback) {
    if constexpr (WantsCertificate<T>) {
      Certificate certificate;
      certificate.violation = update_->violation(state().theta);
      // What was trained must not be lost because data cannot be read once more, or hold what check_data = false let pass.
      try {
        if constexpr ((Dataset<D, Batch> && !Window<D>) || has_dense_windows<D>)
          certificate.residual = residual(data, callback.certificate_step());
        else if constexpr (requires { residual(data, 1.0); })
          if (no_duality_gap().empty()) certificate.residual = residual(data, callback.certificate_step());
      } catch (const std::exception&) {  // NaN; the gap, which reads the same data, says why
      }
      if constexpr (HasDualityGap<M, L, R>) {
        certificate.no_gap = no_duality_gap();
        try {
          DualityGapOptions options;
          if constexpr (requires { callback.certificate_sweeps(); }) options.sweeps = callback.certificate_sweeps();
          if (certificate.no_gap.empty()) certificate.gap = duality_gap(data, options);
        } catch (const std::exception& error) {
          certificate.no_gap = error.what();
        }
      } else {
        certificate.no_gap = "it is for linear models with some losses and regularizers";
      }
      summary.certificate = std::move(certificate);
    }
  }
  template <class T>
  static double rate_factor(const T& callback) {
    if constexpr (HasRateFactor<T>) {
      const double factor = static_cast<double>(callback.rate_factor());
      if (!(factor >= 0) || !std::isfinite(factor))
        throw OptionError(detail::text("a callback's rate_factor must be finite and at least 0; it is ", factor));
      return factor;
    }
    return 1;
  }
  template <class T>
  void ask_step(Run& run, Index epoch, T& callback, const StepReport& report) {
    if constexpr (HasOnStep<T&>) answer(run, epoch, [&] { return callback.on_step(report); });
  }
  template <class T>
  void ask_epoch(Run& run, Index epoch, T& callback, const EpochReport& report) {
    if constexpr (HasOnEpoch<T&>) answer(run, epoch, [&] { return callback.on_epoch(report); });
  }
  template <class Call>
  void answer(Run& run, Index epoch, Call&& call) {
    if constexpr (std::is_void_v<decltype(call())>) {
      call();
    } else {
      const Signal signal = call();
      if (signal == Signal::stop) {
        run.stopped = true;
        run.summary.stop_reason = StopReason::callback;
      } else if (signal == Signal::remember) {
        run.remembered = theta();
        run.summary.remembered_step = steps_;
        run.summary.remembered_epoch = epoch;
      }
    }
  }

  template <class D>
  Divergence locate(const D& data, Index epoch) {
    if constexpr (SparseData<D>) {
      const auto bad = sparse().find_not_finite();
      return Divergence{steps_ + 1, epoch, bad.shard, number_of(data, bad.sample), bad.parameter};
    } else {
      const auto bad = engine_->find_not_finite(data);
      Divergence divergence{steps_ + 1, epoch, bad.shard, bad.sample, {}};
      for (const auto& block : parameters_)
        if (bad.parameter >= block.offset && bad.parameter < block.offset + block.size()) divergence.parameter = block.name;
      return divergence;
    }
  }

  /// The index of a sample in the whole data.
  template <class D>
  static Index number_of(const D& data, Index sample) {
    if constexpr (Window<D>) return sample < 0 ? sample : data.number(sample);
    return sample;
  }

  template <class D>
  void diverged(Run& run, Index epoch, const D& data) {
    if (run.summary.divergences.size() < 100) run.summary.divergences.push_back(locate(data, epoch));
    if (run.options.on_divergence == OnDivergence::halve_rate) run.rate_factor /= 2;
    if (run.options.on_divergence == OnDivergence::stop) {
      run.stopped = true;
      run.summary.stop_reason = StopReason::diverged;
    }
  }

  PhaseSeconds phase_seconds() const {
    const PhaseSeconds gradient = engine_->seconds(), update = update_->seconds();
    PhaseSeconds total{gradient.gather, gradient.gradient + update.gradient, update.reduce, update.update};
    if (sparse_) {
      const PhaseSeconds sparse = sparse_->seconds();
      total.gradient += sparse.gradient;
      total.reduce += sparse.reduce;
      total.update += sparse.update;
    }
    return total;
  }

  void finish(Run& run) {
    Summary& summary = run.summary;
    const Team& team = engine_->team();
    summary.steps = steps_ - run.start;
    summary.parameters = parameters_.size();
    summary.threads_asked = team.asked();
    summary.threads = team.arrived();
    summary.threads_why = team.limits().why();
    summary.scalar = std::is_same_v<Scalar, float> ? "float" : "double";
    summary.instructions = kernels::instruction_set();
    Timings& seconds = summary.seconds;
    const PhaseSeconds after = phase_seconds();
    seconds.gather = after.gather - run.before.gather;
    seconds.gradient = after.gradient - run.before.gradient;
    seconds.reduce = after.reduce - run.before.reduce;
    seconds.update = after.update - run.before.update;
    seconds.waiting = std::max(0.0, seconds.wall * summary.threads - seconds.gather - seconds.gradient - seconds.reduce - seconds.update);
    summary.zeros = static_cast<Index>(std::count(theta().begin(), theta().end(), Scalar{0}));
    summary.theta_hash = parade::theta_hash(theta());
  }

  bool initialized() const { return states_[current_].theta.size() > 0; }
  TrainingState<Scalar>& state() { return states_[current_]; }

  /// A callback may look at the trainer, and evaluate, but not change what a run under way is using.
  void check_not_running() const {
    if (engine_ && engine_->team().inside()) throw std::logic_error("the trainer is in a run: a callback may not fit or change parameters");
  }

  void start_from_seed(std::uint64_t seed) {
    const detail::EigenGuard eigen;
    const detail::FloatingPointGuard floating_point;
    Vector<Scalar> theta(parameters_.size());
    model_.initialize(VectorRef<Scalar>(theta), seed);
    start_from(theta);
  }

  void start_from(const Vector<Scalar>& theta) {
    std::array<TrainingState<Scalar>, 2> fresh;
    fresh[0] = TrainingState<Scalar>(parameters_.size(), optimizer_.num_states());
    fresh[0].theta = theta;
    states_ = std::move(fresh);  // not before: theta may be that of one of them
    if (update_) update_->start_anew(regularizer_, constraint_);
    current_ = 0;
    steps_ = 0;
    epochs_ = 0;
  }

  M model_;
  L loss_;
  R regularizer_;
  O optimizer_;
  H schedule_;
  C constraint_;
  ParameterList parameters_;

  std::array<TrainingState<Scalar>, 2> states_;  // a step on dense data reads one and writes the other; without such steps there is one
  Anchor anchor_;
  std::size_t current_ = 0;
  std::int64_t steps_ = 0;
  Index epochs_ = 0;  // finished since the start: each has an order of its own, also after a warm start

  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Lazy> sparse_;      // where there was sparse data
  mutable Vector<Scalar> looked_at_;  // θ in the midst of an epoch on sparse data
  std::optional<Update> update_;
  int threads_ = 0;
  Index shard_size_ = 0;
  std::vector<Index> everything_;  // 0, 1, …: the samples of partial_fit
};

template <class M, class L, class R, class O, class X>
  requires(Schedule<X> && !Constraint<X, typename M::Scalar>)
Trainer(M, L, R, O, X)
->Trainer<M, L, R, O, X>;
template <class M, class L, class R, class O, class X>
  requires Constraint<X, typename M::Scalar> Trainer(M, L, R, O, X)
->Trainer<M, L, R, O, detail::ConstantRate, X>;

}  // namespace parade
