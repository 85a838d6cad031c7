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
///   epoch  3/10 [=========>                    ]  33 %  loss 0.1234  291000 samples/s  35 s left
///   epoch  3/10  loss 0.1189  validation loss 0.1302  accuracy 0.9612  287000 samples/s
///
/// Of data that are read from a file while it is trained on, it also says how many rows are done and bytes read, and the rate of both. (The bytes are
/// those of whole windows; their rate is what the rows that are done make up of them.)
///
///   epoch  3/10 [===>      ]  33 %  loss 0.1234  412000 of 1250000 samples  2.1 GB of 6 GB  291000 samples/s  1.4 GB/s  35 s left
///   epoch  3/10  loss 0.1189  287000 samples/s  1.38 GB/s
///
/// It writes to standard error's log stream, or to the stream it is given; there it draws a bar only if told that it is a terminal. What is left is that
/// of the epochs that were asked for, at the rate of this epoch.
class ProgressBar {
 public:
  ProgressBar() : out_(&std::clog), terminal_(standard_error_is_a_terminal()) {}
  explicit ProgressBar(std::ostream& out, bool terminal = false) : out_(&out), terminal_(terminal) {}

  void on_begin() {
    drawn_ = {};
    first_ = {};
  }

  void on_step(const StepReport& report) {
    if (!terminal_) return;
    const auto now = Clock::now();
    if (report.epoch != first_.epoch) {
      first_ = report;
      began_ = now;
    }
    if (now - drawn_ < std::chrono::milliseconds(100)) return;
    drawn_ = now;
    *out_ << '\r' << line(report, report.samples_done - first_.samples_done, std::chrono::duration<double>(now - began_).count())
          << "\x1b[K" << std::flush;
    drawing_ = true;
  }

  void on_epoch(const EpochReport& report) {
    drawing_ = false;
    *out_ << (terminal_ ? "\r" : "") << line(report) << (terminal_ ? "\x1b[K\n" : "\n") << std::flush;
  }

  /// The text of a bar, where the last `samples` of those that are done took so many seconds.
  static std::string line(const StepReport& report, Index samples, double seconds) {
    const double all = static_cast<double>(report.samples), done = all > 0 ? static_cast<double>(report.samples_done) / all : 0;
    const int width = report.bytes > 0 ? 10 : 30, filled = static_cast<int>(done * width);
    auto line = start(report.epoch, report.epochs);
    line << " [" << std::string(static_cast<std::size_t>(filled), '=') << (filled < width ? ">" : "")
         << std::string(static_cast<std::size_t>(filled < width ? width - filled - 1 : 0), ' ') << "] " << std::setw(3)
         << static_cast<int>(100 * done) << " %  loss " << report.loss;
    if (report.bytes > 0) {
      line << "  " << report.samples_done << " of " << report.samples << " samples  ";
      line << detail::bytes_text(static_cast<double>(report.bytes_done)) << " of " << detail::bytes_text(static_cast<double>(report.bytes));
    }
    if (const double rate = static_cast<double>(samples) / seconds; seconds > 0 && rate > 0 && all > 0) {
      const double left =
          static_cast<double>(report.epochs - report.epoch) * all + static_cast<double>(report.samples - report.samples_done);
      line << "  " << detail::whole(rate) << " samples/s";
      if (report.bytes > 0) line << "  " << detail::bytes_text(rate / all * static_cast<double>(report.bytes)) << "/s";
      line << "  " << detail::seconds_text(left / rate) << " left";
    }
    return line.str();
  }

  /// The text of an epoch.
  static std::string line(const EpochReport& report) {
    auto line = start(report.epoch, report.epochs);
    line << "  loss " << report.loss;
    if (report.validation) {
      line << "  validation loss " << report.validation->loss;
      if (report.validation->accuracy == report.validation->accuracy) line << "  accuracy " << report.validation->accuracy;
    }
    line << "  " << detail::whole(report.samples_per_second()) << " samples/s";
    if (report.bytes > 0) line << "  " << detail::bytes_text(report.bytes_per_second()) << "/s";
    return line.str();
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
  StepReport first_{};  // of the epoch
  Clock::time_point began_{};
  Clock::time_point drawn_{};
};

static_assert(Callback<ProgressBar>);

}  // namespace parade
