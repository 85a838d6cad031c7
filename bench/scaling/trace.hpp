// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <parade/parade.hpp>

#if PARADE_HAS_OPENMP
#include <omp.h>
#endif

// A timeline of a few steps, thread by thread, without a word in the engine: model, loss, data and optimizer are given to it in wrappers that
// note when each call begins and ends. The wrappers satisfy the concepts by handing every call on, so θ has the same bits with and without.
namespace bench {

using parade::Index;

/// One call, or several of a kind with nothing between.
struct TraceEvent {
  const char* name;
  Index step;     // 1-based
  Index samples;  // of the shard; 0 for what belongs to no shard
  Index calls = 1;
  std::chrono::steady_clock::time_point begin{}, end{};
};

/// What the threads did in a few steps. Each writes to a buffer of its own, whose memory is taken before. It is also the callback that tells
/// where a step ends.
class Trace {
 public:
  using Clock = std::chrono::steady_clock;

  /// Notes the steps [first, last], whose batches have up to `shards` shards.
  Trace(int threads, Index first, Index last, Index shards) : first_(first), last_(last), threads_(static_cast<std::size_t>(threads)) {
    // One thread may do all, another do it all again; a shard has up to 16 pieces, and a few events are of none.
    const auto events = static_cast<std::size_t>((last - first + 1) * (8 * 16 * shards + 8));
    for (auto& thread : threads_) thread.events.reserve(events);
    steps_.reserve(static_cast<std::size_t>(last - first + 1));
    begin_step(1);
  }

  void on_step(const parade::StepReport& report) {
    if (const Index step = step_.load(std::memory_order_relaxed); step > 0) steps_.push_back({"step", step, 0, 1, begin_, Clock::now()});
    begin_step(report.step + 1);
  }

  /// Notes the time from here to the end of the scope.
  class Span {
   public:
    Span(Trace& trace, const char* name, Index samples = 0)
        : trace_(trace), event_{name, trace.step_.load(std::memory_order_relaxed), samples} {
      if (event_.step > 0) event_.begin = Clock::now();
    }
    ~Span() {
      if (event_.step == 0) return;
      event_.end = Clock::now();
      trace_.append(event_);
    }
    Span(const Span&) = delete;
    Span& operator=(const Span&) = delete;

   private:
    Trace& trace_;
    TraceEvent event_;
  };

  const std::vector<TraceEvent>& steps() const { return steps_; }
  Clock::time_point begin() const { return steps_.front().begin; }
  double seconds() const { return std::chrono::duration<double>(steps_.back().end - begin()).count(); }
  bool complete() const {
    return static_cast<Index>(steps_.size()) == last_ - first_ + 1 &&
           std::none_of(threads_.begin(), threads_.end(), [](const Thread& thread) { return thread.full; });
  }

  /// Whether each of these calls was made in the steps that were noted.
  bool has(std::initializer_list<std::string_view> names) const {
    return std::all_of(names.begin(), names.end(), [this](std::string_view name) {
      return std::any_of(threads_.begin(), threads_.end(), [name](const Thread& thread) {
        return std::any_of(thread.events.begin(), thread.events.end(), [name](const TraceEvent& event) { return event.name == name; });
      });
    });
  }

  std::size_t num_threads() const { return threads_.size(); }
  const std::vector<TraceEvent>& events(std::size_t thread) const { return threads_[thread].events; }
  double busy_seconds(std::size_t thread) const {
    double busy = 0;
    for (const auto& event : events(thread)) busy += std::chrono::duration<double>(event.end - event.begin).count();
    return busy;
  }

 private:
  struct alignas(64) Thread {
    std::vector<TraceEvent> events;
    bool full = false;
  };

  void begin_step(Index step) {
    step_.store(step >= first_ && step <= last_ ? step : 0, std::memory_order_relaxed);
    begin_ = Clock::now();
  }

  void append(const TraceEvent& event) {
#if PARADE_HAS_OPENMP
    auto& thread = threads_[static_cast<std::size_t>(omp_get_thread_num())];
#else
    auto& thread = threads_[0];
#endif
    auto& events = thread.events;
    // Blocks of θ and pieces of the preparation take a microsecond each: one event for all in a row.
    if (event.samples == 0 && !events.empty() && events.back().name == event.name && events.back().step == event.step) {
      events.back().end = event.end;
      ++events.back().calls;
    } else if (events.size() < events.capacity()) {
      events.push_back(event);
    } else {
      thread.full = true;
    }
  }

  Index first_, last_;
  std::atomic<Index> step_{0};  // 0: none of those
  Clock::time_point begin_;     // of the step
  std::vector<TraceEvent> steps_;
  std::vector<Thread> threads_;
};

static_assert(parade::Callback<Trace&>);

/// The events in the format of chrome://tracing and Perfetto ("Trace Event Format": complete events, times in µs), appended to `events`:
/// `process` gets a line for the steps and one for each thread.
inline void append_chrome_events(const Trace& trace, int process, const std::string& name, nlohmann::ordered_json& events) {
  const auto names = [&](const char* what, std::size_t line, const std::string& text) {
    events.push_back({{"ph", "M"}, {"name", what}, {"pid", process}, {"tid", line}, {"args", {{"name", text}}}});
  };
  const auto add = [&](const TraceEvent& event, std::size_t line) {
    using Microseconds = std::chrono::duration<double, std::micro>;
    nlohmann::ordered_json args{{"step", event.step}};
    if (event.samples > 0) args["samples"] = event.samples;
    if (event.calls > 1) args["calls"] = event.calls;
    events.push_back({{"ph", "X"},
                      {"name", event.name},
                      {"pid", process},
                      {"tid", line},
                      {"ts", Microseconds(event.begin - trace.begin()).count()},
                      {"dur", Microseconds(event.end - event.begin).count()},
                      {"args", std::move(args)}});
  };
  names("process_name", 0, name);
  names("thread_name", 0, "steps");
  for (const auto& step : trace.steps()) add(step, 0);
  for (std::size_t t = 0; t < trace.num_threads(); ++t) {
    names("thread_name", t + 1, "thread " + std::to_string(t));
    for (const auto& event : trace.events(t)) add(event, t + 1);
  }
}

template <class M>
class TracedModel {
 public:
  using Scalar = typename M::Scalar;
  using Workspace = typename M::Workspace;
  using Prepared = typename M::Prepared;

  TracedModel(const M& model, Trace& trace) : model_(model), trace_(&trace) {}

  parade::ParameterList parameters() const { return model_.parameters(); }
  Index num_inputs() const { return model_.num_inputs(); }
  Index num_outputs() const { return model_.num_outputs(); }
  void initialize(parade::VectorRef<Scalar> theta, std::uint64_t seed) const { model_.initialize(theta, seed); }
  void reserve(Prepared& prepared) const { model_.reserve(prepared); }
  void reserve(Workspace& workspace, Index samples) const { model_.reserve(workspace, samples); }
  Index num_preparations() const { return model_.num_preparations(); }

  void prepare(const parade::ConstVectorRef<Scalar>& theta, Index piece, Prepared& prepared) const {
    const Trace::Span span(*trace_, "prepare");
    model_.prepare(theta, piece, prepared);
  }
  void prepare(const Scalar* theta, parade::Range range, Prepared& prepared) const {
    const Trace::Span span(*trace_, "gradient and update");
    model_.prepare(theta, range, prepared);
  }
  decltype(auto) forward(const Prepared& theta, const parade::ConstMatrixRef<Scalar>& x, Workspace& workspace) const {
    const Trace::Span span(*trace_, "forward", x.cols());
    return model_.forward(theta, x, workspace);
  }
  void add_gradient(const Prepared& theta, const parade::ConstMatrixRef<Scalar>& x, const parade::ConstMatrixRef<Scalar>& dscores,
                    Workspace& workspace, parade::VectorRef<Scalar> grad) const {
    const Trace::Span span(*trace_, "backward", x.cols());
    model_.add_gradient(theta, x, dscores, workspace, grad);
  }
  void gradient(const Prepared& theta, const parade::ConstMatrixRef<Scalar>& x, const parade::ConstMatrixRef<Scalar>& dscores,
                Workspace& workspace, parade::VectorRef<Scalar> grad) const {
    const Trace::Span span(*trace_, "backward", x.cols());
    model_.gradient(theta, x, dscores, workspace, grad);
  }

  using TapeOf = TracedModel;
  using Piece = typename M::Piece;
  using Tape = typename M::Tape;
  void reserve(Piece& piece, Index samples) const { model_.reserve(piece, samples); }
  void reserve(Tape& tape, std::size_t parts) const { model_.reserve(tape, parts); }
  void record(const Prepared& theta, const parade::ConstMatrixRef<Scalar>& x, const parade::ConstMatrixRef<Scalar>& dscores,
              Workspace& workspace, Piece& piece) const {
    const Trace::Span span(*trace_, "backward", x.cols());
    model_.record(theta, x, dscores, workspace, piece);
  }
  void collect(std::span<const parade::TapePart<Piece>> parts, Tape& tape) const { model_.collect(parts, tape); }
  void gradient(const Tape& tape, parade::Range range, Scalar* out) const {
    const Trace::Span span(*trace_, "gradient and update");
    model_.gradient(tape, range, out);
  }

 private:
  M model_;
  Trace* trace_;
};

template <class L>
class TracedLoss {
 public:
  using SampleBySampleOf = TracedLoss;
  using Target = typename L::Target;

  TracedLoss(L loss, Trace& trace) : loss_(std::move(loss)), trace_(&trace) {}

  std::string check_outputs(Index k) const { return loss_.check_outputs(k); }
  template <class Z>
  void value_and_gradient(const Eigen::MatrixBase<Z>& scores, const parade::TargetsRef<Target, typename Z::Scalar>& targets,
                          parade::VectorRef<typename Z::Scalar> values, parade::MatrixRef<typename Z::Scalar> dscores) const {
    const Trace::Span span(*trace_, "loss", scores.cols());
    loss_.value_and_gradient(scores, targets, values, dscores);
  }

 private:
  L loss_;
  Trace* trace_;
};

template <class D>
class TracedData {
 public:
  using SampleBySampleOf = TracedData;
  TracedData(const D& data, Trace& trace) : data_(data), trace_(&trace) {}

  Index size() const { return data_.size(); }
  Index num_features() const { return data_.num_features(); }
  bool has_labels() const { return data_.has_labels(); }
  Index num_targets() const { return data_.num_targets(); }
  template <class Batch>
  void reserve(Batch& batch, Index capacity) const {
    data_.reserve(batch, capacity);
  }
  template <class Batch>
  void gather(std::span<const Index> samples, Batch& batch) const {
    const Trace::Span span(*trace_, "gather", static_cast<Index>(samples.size()));
    data_.gather(samples, batch);
  }

 private:
  D data_;
  Trace* trace_;
};

/// It is called for a block of θ as soon as the model has computed the block's gradient: one event for both.
template <class O>
class TracedOptimizer {
 public:
  TracedOptimizer(O optimizer, Trace& trace) : rate(optimizer.rate), optimizer_(std::move(optimizer)), trace_(&trace) {}

  double rate;
  void check() const { optimizer_.check(); }
  Index num_states() const { return optimizer_.num_states(); }
  template <class S>
  void step(std::type_identity_t<parade::VectorRef<S>> theta, const std::type_identity_t<parade::ConstVectorRef<S>>& grad,
            const parade::StateRef<S>& state, const parade::StepInfo& at) const {
    const Trace::Span span(*trace_, "gradient and update");
    optimizer_.step(theta, grad, state, at);
  }

  /// The engine's way where it has one pass for all: `call` is the whole update of a block.
  using RuleOf = TracedOptimizer;
  template <class S, class Call>
  auto with_rule(const parade::StepInfo& at, Call&& call) const {
    const Trace::Span span(*trace_, "gradient and update");
    return optimizer_.template with_rule<S>(at, std::forward<Call>(call));
  }

 private:
  O optimizer_;
  Trace* trace_;
};

}  // namespace bench
