// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/prepare/stage.hpp>

namespace parade {

/// Stages one behind the other, as one stage: each is fitted to what those before it make of the training part.
///
///   parade::Pipeline prepare{parade::Impute{.by = parade::Fill::median}, parade::Standardize{}};
///   const auto train = prepare.fit(raw_train).transform(raw_train);
///   const auto test = prepare.transform(raw_test);                        // the numbers of the training part
///   prepare.get<1>().mean;                                                // what a stage has learned
///   parade::save_model("model.npz", trainer.parameters(), trainer.theta(), prepare);
///
/// Everything between the stages is in double, block by block: no intermediate data is kept, and only the result is rounded to the type of
/// the data. What is fitted has the same bits on any number of threads, and on every machine. On sparse data each stage must be a
/// SparsePreparation.
template <Preparation... Stages>
  requires(sizeof...(Stages) > 0)
class Pipeline {
 public:
  static constexpr const char* kind = "pipeline";

  explicit Pipeline(Stages... stages) : stages_(std::move(stages)...) {}

  template <class D>
  Pipeline& fit(const D& data, int threads = 0) {
    detail::fit_to(*this, data, threads);
    return *this;
  }
  template <class D>
  auto transform(const D& data, int threads = 0) const {
    return detail::transform_of(*this, data, threads);
  }

  static constexpr std::size_t size() { return sizeof...(Stages); }
  template <std::size_t I>
  const auto& get() const {
    return std::get<I>(stages_);
  }

  void check() const {
    std::apply([](const auto&... stage) { (detail::check_stage(stage), ...); }, stages_);
  }
  Index num_inputs() const { return std::get<0>(stages_).num_inputs(); }
  Index num_outputs() const { return std::get<size() - 1>(stages_).num_outputs(); }

  void fit_samples(const Samples& samples, Team& team) { fit_from<0>(samples, team); }
  void fit_rows(const SparseSamples& rows, Team& team) requires(SparsePreparation<Stages>&&...) { fit_rows_from<0>(rows, team); }

  /// x (d, range.size()) becomes out (num_outputs(), range.size()).
  void transform_samples(Range range, const double* x, double* out) const { transform_from<0>(range, x, out); }
  void transform_row(std::span<const std::int32_t> indices, double* values) const requires(SparsePreparation<Stages>&&...) {
    std::apply([&](const auto&... stage) { (stage.transform_row(indices, values), ...); }, stages_);
  }
  void check_rows() const {
    std::apply(
        [](const auto&... stage) {
          const auto check = [](const auto& one) {
            if constexpr (requires { one.check_rows(); }) one.check_rows();
          };
          (check(stage), ...);
        },
        stages_);
  }

  /// Calls visit.stage("0.impute", stage) for each stage.
  template <class Self, class Visit>
  static void visit_stages(Self& self, const Visit& visit) {
    visit_stages(self, visit, std::index_sequence_for<Stages...>{});
  }
  void settle() const {
    const auto settle_pipeline = []<class Stage>(const Stage& stage) {  // of other stages the reader sees to it
      if constexpr (requires {
                      Stage::visit_stages(stage, [](const std::string&, const auto&) {});
                      stage.settle();
                    })
        stage.settle();
    };
    std::apply([&](const auto&... stage) { (settle_pipeline(stage), ...); }, stages_);
    check_sizes(std::index_sequence_for<Stages...>{});
  }

 private:
  template <std::size_t I>
  void fit_from(const Samples& samples, Team& team) {
    auto& stage = std::get<I>(stages_);
    stage.fit_samples(samples, team);
    if constexpr (I + 1 < size()) fit_from<I + 1>(detail::Prepared{samples, stage}, team);
  }
  template <std::size_t I>
  void fit_rows_from(const SparseSamples& rows, Team& team) {
    auto& stage = std::get<I>(stages_);
    stage.fit_rows(rows, team);
    if constexpr (I + 1 < size()) fit_rows_from<I + 1>(detail::PreparedRows{rows, stage}, team);
  }
  template <std::size_t I>
  void transform_from(Range range, const double* x, double* out) const {
    const auto& stage = std::get<I>(stages_);
    if constexpr (I + 1 == size()) {
      detail::transform_block(stage, range, x, out);
    } else {
      std::vector<double> room(static_cast<std::size_t>(stage.num_outputs() * range.size()));
      detail::transform_block(stage, range, x, room.data());
      transform_from<I + 1>(range, room.data(), out);
    }
  }
  template <class Self, class Visit, std::size_t... I>
  static void visit_stages(Self& self, const Visit& visit, std::index_sequence<I...>) {
    (visit(std::to_string(I) + "." + std::tuple_element_t<I, std::tuple<Stages...>>::kind, std::get<I>(self.stages_)), ...);
  }
  template <std::size_t... I>
  void check_sizes(std::index_sequence<I...>) const {
    const auto check = [this](auto i) {
      if constexpr (i > 0) {
        const Index made = std::get<i - 1>(stages_).num_outputs(), taken = std::get<i>(stages_).num_inputs();
        if (made != taken)
          throw DataError(detail::text("stage ", std::size_t{i}, " of the pipeline must take the ", made,
                                       " features that the one before it makes; it takes ", taken));
      }
    };
    (check(std::integral_constant<std::size_t, I>{}), ...);
  }

  std::tuple<Stages...> stages_;
};

}  // namespace parade
