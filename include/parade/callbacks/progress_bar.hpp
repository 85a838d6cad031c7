// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <iomanip>
#include <iostream>
#include <locale>
#include <ostream>
#include <sstream>
#include <string>
#include <utility>

#include <parade/concepts/callback.hpp>

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif

namespace parade {

/// Shows how a run goes: on a terminal a bar that moves, elsewhere a plain line an epoch.
///
///   epoch  3/10 [=========>          ]  48 %  loss 0.1234  291000 samples/s  5 s left
///   epoch  3/10  loss 0.1189  validation loss 0.1302  accuracy 0.9612  287000 samples/s
///
/// It writes to standard error's log stream, or to the stream it is given; there it draws a bar only if told that it is a terminal.
class ProgressBar {
 public:
  ProgressBar() : out_(&std::clog), terminal_(standard_error_is_a_terminal()) {}
  explicit ProgressBar(std::ostream& out, bool terminal = false) : out_(&out), terminal_(terminal) {}

  void on_begin() {
    drawn_ = {};
    epoch_ = 0;
  }

  void on_step(const StepReport& report) {
    if (!terminal_) return;
    const auto now = Clock::now();
    if (report.epoch != epoch_) {
      epoch_ = report.epoch;
      epoch_begin_ = now;
    }
    if (now - drawn_ < std::chrono::milliseconds(100)) return;
    drawn_ = now;
    const double done = static_cast<double>(report.samples_done) / static_cast<double>(report.samples);
    constexpr int width = 30;
    const int filled = static_cast<int>(done * width);
    auto line = start(report.epoch, report.epochs);
    line << " [" << std::string(static_cast<std::size_t>(filled), '=') << (filled < width ? ">" : "")
         << std::string(static_cast<std::size_t>(filled < width ? width - filled - 1 : 0), ' ') << "] " << std::setw(3)
         << static_cast<int>(100 * done) << " %  loss " << report.loss;
    const double seconds = std::chrono::duration<double>(now - epoch_begin_).count();
    if (const double rate = static_cast<double>(report.samples_done) / seconds; seconds > 0 && rate > 0) {
      const double left = static_cast<double>(report.epochs - report.epoch) * static_cast<double>(report.samples) +
                          static_cast<double>(report.samples - report.samples_done);
      line << "  " << detail::whole(rate) << " samples/s  " << detail::whole(left / rate) << " s left";
    }
    *out_ << '\r' << line.str() << "\x1b[K" << std::flush;
    drawing_ = true;
  }

  void on_epoch(const EpochReport& report) {
    drawing_ = false;
    auto line = start(report.epoch, report.epochs);
    line << "  loss " << report.loss;
    if (report.validation) {
      line << "  validation loss " << report.validation->loss;
      if (report.validation->accuracy == report.validation->accuracy) line << "  accuracy " << report.validation->accuracy;
    }
    line << "  " << detail::whole(report.samples_per_second()) << " samples/s";
    *out_ << (terminal_ ? "\r" : "") << line.str() << (terminal_ ? "\x1b[K\n" : "\n") << std::flush;
  }

  /// A bar that was not finished gets the end of its line.
  void on_end() {
    if (std::exchange(drawing_, false)) *out_ << std::endl;
  }

 private:
  using Clock = std::chrono::steady_clock;

  static std::ostringstream start(Index epoch, Index epochs) {
    std::ostringstream line;
    line.imbue(std::locale::classic());
    line << "epoch " << std::setw(static_cast<int>(std::to_string(epochs).size())) << epoch << '/' << epochs << std::setprecision(4);
    return line;
  }

  static bool standard_error_is_a_terminal() {
#if defined(__unix__) || defined(__APPLE__)
    return ::isatty(STDERR_FILENO) == 1;
#else
    return false;
#endif
  }

  std::ostream* out_;
  bool terminal_;
  bool drawing_ = false;
  Index epoch_ = 0;
  Clock::time_point epoch_begin_{};
  Clock::time_point drawn_{};
};

static_assert(Callback<ProgressBar>);

}  // namespace parade
