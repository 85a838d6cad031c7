// SPDX-License-Identifier: MIT
#include <string>

#include <parade/schedules/cosine.hpp>
#include <parade/schedules/step_decay.hpp>
#include <parade/schedules/warmup.hpp>

#include "support/catch.hpp"
#include "support/reference.hpp"

namespace {

/// Compares the rates of all steps with a case of schedules.json. `make` builds the schedule from PyTorch's settings.
template <class Make>
void check_rates(const std::string& name, Make make) {
  INFO(name);
  const auto file = reference::read("schedules.json");
  const auto& figures = file.at("cases").at(name);
  const auto schedule = make(figures.at("settings"));
  const parade::Vector<double> expected = reference::vector(figures.at("rate"));
  REQUIRE(expected.size() == file.at("steps").get<parade::Index>());
  for (parade::Index t = 0; t < expected.size(); ++t) {
    INFO("step " << t);
    const parade::TrainingTime at{.step = t, .steps_per_epoch = 10, .total_steps = expected.size()};
    CHECK(reference::relative_error(schedule.rate(file.at("base_rate"), at), expected[t]) <= reference::tolerance);
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
