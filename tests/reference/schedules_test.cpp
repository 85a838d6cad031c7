// SPDX-License-Identifier: MIT
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include <parade/schedules/cosine.hpp>
#include <parade/schedules/cosine_restarts.hpp>
#include <parade/schedules/exponential_decay.hpp>
#include <parade/schedules/multi_step_decay.hpp>
#include <parade/schedules/one_cycle.hpp>
#include <parade/schedules/polynomial_decay.hpp>
#include <parade/schedules/step_decay.hpp>
#include <parade/schedules/warmup.hpp>

#include "support/catch.hpp"
#include "support/reference.hpp"

namespace {

/// Compares the rates of all steps with a case of schedules.json. `make` builds the schedule from PyTorch's settings; the base rate is that
/// of the file, or the setting that is named.
template <class Make>
void check_rates(const std::string& name, Make make, const char* base_setting = nullptr) {
  INFO(name);
  const auto file = reference::read("schedules.json");
  const auto& figures = file.at("cases").at(name);
  const auto& settings = figures.at("settings");
  const double base = base_setting ? settings.at(base_setting) : file.at("base_rate");
  const auto schedule = make(settings);
  const parade::Vector<double> expected = reference::vector(figures.at("rate"));
  REQUIRE(expected.size() == file.at("steps").get<parade::Index>());
  REQUIRE_NOTHROW(schedule.check({.step = 0, .steps_per_epoch = 10, .total_steps = expected.size()}));
  for (parade::Index t = 0; t < expected.size(); ++t) {
    INFO("step " << t);
    const parade::TrainingTime at{.step = t, .steps_per_epoch = 10, .total_steps = expected.size()};
    if (expected[t] == 0)
      CHECK(schedule.rate(base, at) == 0);
    else
      CHECK(reference::relative_error(schedule.rate(base, at), expected[t]) <= reference::tolerance);
  }
}

}  // namespace

TEST_CASE("step decay has the rates of PyTorch", "[schedules]") {
  check_rates("step",
              [](const auto& options) { return parade::StepDecay{.steps = options.at("step_size"), .factor = options.at("gamma")}; });
}

TEST_CASE("half a cosine has the rates of PyTorch", "[schedules]") {
  check_rates("cosine",
              [](const auto& options) { return parade::Cosine{.steps = options.at("T_max"), .final_rate = options.at("eta_min")}; });
}

TEST_CASE("a linear warm-up has the rates of PyTorch", "[schedules]") {
  check_rates("linear_warmup", [](const auto& options) {
    REQUIRE(options.at("end_factor") == 1.0);
    return parade::warmup(options.at("total_iters"), options.at("start_factor"));
  });
}

TEST_CASE("milestones have the rates of PyTorch", "[schedules]") {
  check_rates("multi_step", [](const auto& options) {
    return parade::MultiStepDecay{.milestones = options.at("milestones").template get<std::vector<std::int64_t>>(),
                                  .factor = options.at("gamma")};
  });
}

TEST_CASE("exponential decay has the rates of PyTorch", "[schedules]") {
  check_rates("exponential", [](const auto& options) { return parade::ExponentialDecay{.factor = options.at("gamma")}; });
}

TEST_CASE("cosines with warm restarts have the rates of PyTorch", "[schedules]") {
  check_rates("cosine_warm_restarts", [](const auto& options) {
    return parade::CosineRestarts{.steps = options.at("T_0"), .growth = options.at("T_mult"), .final_rate = options.at("eta_min")};
  });
}

TEST_CASE("polynomial decay has the rates of PyTorch", "[schedules]") {
  check_rates("polynomial", [](const auto& options) {
    return parade::PolynomialDecay{.steps = options.at("total_iters"), .power = options.at("power")};
  });
}

TEST_CASE("one cycle has the rates of PyTorch", "[schedules]") {
  check_rates(
      "one_cycle",
      [](const auto& options) {
        return parade::OneCycle{.steps = options.at("total_steps"),
                                .warmup_share = options.at("pct_start"),
                                .start_divisor = options.at("div_factor"),
                                .final_divisor = options.at("final_div_factor")};
      },
      "max_lr");
}

TEST_CASE("every schedule of the file of figures is compared", "[schedules]") {
  const std::set<std::string> compared{"step",   "multi_step",           "exponential", "linear_warmup",
                                       "cosine", "cosine_warm_restarts", "polynomial",  "one_cycle"};
  const auto file = reference::read("schedules.json");
  std::set<std::string> figures;
  for (const auto& [name, figure] : file.at("cases").items()) figures.insert(name);
  CHECK(figures == compared);
}
