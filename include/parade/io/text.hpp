// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <fcntl.h>
#include <filesystem>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <sys/types.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

#include <parade/core/config.hpp>
#include <parade/core/error.hpp>
#include <parade/core/types.hpp>
#include <parade/io/file.hpp>
#include <parade/kernels/huge_pages.hpp>

namespace parade {

/// What a reader of text does about a line that does not hold what its format says: it throws, or it leaves out that row and counts it.
enum class OnError { stop, skip };

namespace detail {

/// What is wrong where in a text.
struct TextError {
  std::uint64_t line = 0;    // 1-based
  std::uint64_t column = 0;  // 1-based, in bytes
  std::string found;
  std::string expected;

  std::string message(const std::string& file) const {
    return text(file, ": line ", line, ", column ", column, ": found ", found, ", expected ", expected);
  }
};

/// Bytes of the character in UTF-8 at the beginning of `text`; 0 if there is none.
inline std::size_t utf8_size(std::string_view text) {
  const auto byte = static_cast<unsigned char>(text[0]);
  const std::size_t size = byte < 0x80                   ? 1
                           : byte >= 0xC2 && byte < 0xE0 ? 2
                           : byte >= 0xE0 && byte < 0xF0 ? 3
                           : byte >= 0xF0 && byte < 0xF5 ? 4
                                                         : 0;
  if (size > text.size()) return 0;
  for (std::size_t i = 1; i < size; ++i)
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) return 0;
  return size;
}

/// Some text as it stands in an error: cut off when long, without bytes that would garble a terminal.
inline std::string in_quotes(std::string_view found) {
  constexpr std::size_t most = 40;
  std::string out = "'";
  std::size_t at = 0;
  while (at < std::min(found.size(), most)) {
    const auto byte = static_cast<unsigned char>(found[at]);
    const std::size_t size = utf8_size(found.substr(at));
    if (size == 0 || byte < 0x20 || byte == 0x7F)
      (out += "\\x") += {"0123456789ABCDEF"[byte >> 4], "0123456789ABCDEF"[byte & 15]};
    else
      out += found.substr(at, size);
    at += std::max<std::size_t>(size, 1);
  }
  return out += at < found.size() ? "…'" : "'";
}

/// The first few messages about rows left out.
inline constexpr std::size_t most_messages = 10;

/// What becomes of a packed file: it is in memory as a whole, or so much of it at a time as `load` says.
enum class Unpack { whole, by_and_by };

/// Text that several threads read in pieces: a file, through one descriptor, or memory, which is also where a packed file is unpacked to.
class TextSource {
 public:
  explicit TextSource(const std::filesystem::path& file, Unpack unpack = Unpack::whole) : name_(file.string()) {
    ByteReader in{file};
    if (!in.size() && unpack == Unpack::by_and_by) {
      packed_ = file;
      return;
    }
    if (!in.size()) {
      std::size_t done = 0;
      do {
        unpacked_.resize(std::max<std::size_t>(2 * done, 1 << 20));
        const auto got = in.read({reinterpret_cast<std::uint8_t*>(unpacked_.data()) + done, unpacked_.size() - done});
        done += got;
      } while (done == unpacked_.size());
      unpacked_.resize(done);
      memory_ = unpacked_;
      size_ = done;
      return;
    }
    descriptor_ = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat status {};
    if (descriptor_ < 0 || ::fstat(descriptor_, &status) != 0) {
      const int why = errno;
      close();
      throw FileError(text(name_, ": cannot be opened: ", std::generic_category().message(why)));
    }
    size_ = static_cast<std::uint64_t>(status.st_size);
  }
  TextSource(std::string_view memory, std::string name) : name_(std::move(name)), memory_(memory), size_(memory.size()) {}
  TextSource(const TextSource&) = delete;
  TextSource& operator=(const TextSource&) = delete;
  ~TextSource() { close(); }

  const std::string& name() const { return name_; }
  /// In bytes; of a file that is unpacked by and by, up to the end of what was loaded last.
  std::uint64_t size() const { return size_; }

  /// Before the lines that begin in [begin, end) are read: answers where they end, `end` or the end of the text if that comes first. Of a file that is
  /// unpacked by and by, what stands before them is given up; begin is 0 or what the last call answered. Of a line of more than `most` bytes not all is loaded.
  /// From one thread, while no other reads.
  std::uint64_t load(std::uint64_t begin, std::uint64_t end, std::size_t most = std::numeric_limits<std::size_t>::max()) {
    if (packed_.empty()) return std::min(end, size_);
    if (begin == 0) {
      reader_.emplace(packed_);
      unpacked_.clear();
      first_ = 0;
    }
    PARADE_ASSERT(reader_ && begin >= first_ && begin <= first_ + unpacked_.size());
    const std::uint64_t from = begin == 0 ? 0 : begin - 1;  // where read_lines begins
    unpacked_.erase(0, static_cast<std::size_t>(from - first_));
    first_ = from;
    auto wanted = static_cast<std::size_t>(end - from);
    for (std::size_t looked_at = wanted - 1;; wanted = unpacked_.size() + (1 << 16)) {  // for the end of the last line, or the text's
      for (bool is_more = true; is_more && unpacked_.size() < wanted;) {  // what resize writes is no more than the text asks for
        const std::size_t had = unpacked_.size(), more = std::min(wanted - had, std::max<std::size_t>(had, 1 << 16));
        if (had >= 1 << 20 && unpacked_.capacity() < wanted)  // growing to 16 MB by doubling alone, a file of 26 MB took 1.1 times as long
          unpacked_.reserve(std::max(wanted, 2 * unpacked_.capacity()));
        unpacked_.resize(had + more);
        unpacked_.resize(had + reader_->read({reinterpret_cast<std::uint8_t*>(unpacked_.data()) + had, more}));
        is_more = unpacked_.size() == had + more;
      }
      if (unpacked_.size() < wanted || unpacked_.find('\n', looked_at) != std::string::npos) break;
      if (first_ + unpacked_.size() > end && first_ + unpacked_.size() - end > most) break;  // behind the line's first byte
      looked_at = unpacked_.size();
    }
    memory_ = unpacked_;
    size_ = first_ + unpacked_.size();
    return std::min(end, size_);
  }

  /// The share of the text that was loaded, or near it: what a packed file unpacks to is not known before its end.
  double share(std::uint64_t loaded) const {
    if (reader_) return std::max(reader_->share(), 0.5);  // what follows may be packed less well: no more than as much again is expected
    return size_ == 0 ? 1 : static_cast<double>(loaded) / static_cast<double>(size_);
  }

  /// Throws if a file that is unpacked by and by is damaged, here or behind what was loaded: that counts more than what is wrong with a line, which may be wrong for
  /// no other reason.
  void check_rest() {
    if (reader_) reader_->check_rest();
  }

  /// All of it.
  std::string all() && {
    if (descriptor_ < 0 && memory_.data() == unpacked_.data()) return std::move(unpacked_);
    std::string whole;
    whole.reserve(size_);
    kernels::use_huge_pages(whole.data(), whole.capacity());
    while (whole.size() < size_) {  // little by little: what resize writes is still in the cache when the bytes of the file come
      const std::size_t done = whole.size(), more = std::min<std::uint64_t>(size_ - done, 1 << 18);
      whole.resize(done + more);
      read(done, {whole.data() + done, more});
    }
    return whole;
  }

  /// The bytes from `begin` on, all of which must be there. From any thread.
  void read(std::uint64_t begin, std::span<char> to) const {
    if (descriptor_ < 0) {
      if (!to.empty()) std::memcpy(to.data(), memory_.data() + (begin - first_), to.size());
      return;
    }
    while (!to.empty()) {
      const auto got = ::pread(descriptor_, to.data(), to.size(), static_cast<off_t>(begin));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) throw FileError(text(name_, ": byte ", begin, ": cannot be read: ", std::generic_category().message(errno)));
      if (got == 0)
        throw FileError(text(name_, ": byte ", begin, ": found the end of the file, expected ", size_, " bytes as when it was opened"));
      begin += static_cast<std::uint64_t>(got);
      to = to.subspan(static_cast<std::size_t>(got));
    }
  }

 private:
  void close() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  std::string name_;
  std::string unpacked_;
  std::string_view memory_;
  std::uint64_t first_ = 0;       // byte of the text that memory begins with
  std::filesystem::path packed_;  // unpacked by and by, by the reader
  std::optional<ByteReader> reader_;
  std::uint64_t size_ = 0;
  int descriptor_ = -1;
};

/// A piece of text that holds whole lines: those that begin among the bytes of the piece. A line end stands behind it in any case.
struct TextPiece {
  std::string room;
  const char* begin = nullptr;
  const char* end = nullptr;  // *end is '\n'
  bool is_too_long = false;   // the line that begins at `end`
};

inline constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

/// Brings the lines that begin in [begin, end) of the source, up to one of more than `most` bytes, if there is one. `most` is end − begin at least: so
/// only the last line may be too long.
inline void read_lines(const TextSource& source, std::uint64_t begin, std::uint64_t end, TextPiece& piece,
                       std::size_t most = std::numeric_limits<std::size_t>::max()) {
  PARADE_ASSERT(most >= end - begin);
  auto& room = piece.room;
  const std::uint64_t from = begin == 0 ? 0 : begin - 1;  // the byte before tells whether a line begins at `begin`
  std::size_t size = static_cast<std::size_t>(end - from);
  room.resize(std::max(room.size(), size + 1));
  source.read(from, {room.data(), size});

  std::size_t start = 0;
  if (begin > 0) {
    const auto* line_end = static_cast<const char*>(std::memchr(room.data(), '\n', size));
    start = line_end ? static_cast<std::size_t>(line_end - room.data()) + 1 : size;
  }
  const std::size_t last = std::max(start, std::string_view{room.data(), size}.rfind('\n') + 1);  // npos + 1 is 0
  const auto is_too_long = [&] { return size > last && size - last - (room[size - 1] == '\n' ? 1 : 0) > most; };
  while (start < size && room[size - 1] != '\n' && from + size < source.size() && !is_too_long()) {
    const auto more = static_cast<std::size_t>(std::min<std::uint64_t>(std::max<std::size_t>(size, 4096), source.size() - from - size));
    room.resize(std::max(room.size(), size + more + 1));
    source.read(from + size, {room.data() + size, more});
    const auto* line_end = static_cast<const char*>(std::memchr(room.data() + size, '\n', more));
    size = line_end ? static_cast<std::size_t>(line_end - room.data()) + 1 : size + more;
  }
  piece.is_too_long = is_too_long();
  if (piece.is_too_long) size = last;
  room[size] = '\n';
  if (begin == 0 && std::string_view{room.data(), size}.starts_with(byte_order_mark)) start = byte_order_mark.size();
  piece.begin = room.data() + start;
  piece.end = room.data() + size;
}

/// work(i, state) for i = 0 … count−1 on some threads, each with a State of its own, made where it is needed first. Of several exceptions, also
/// of those from making a State, that of the least i is thrown.
template <class State, class Work>
void for_each_piece(Index count, int threads, const Work& work) {
  Index failed = count;
  std::exception_ptr failure;
#if PARADE_HAS_OPENMP
#pragma omp parallel num_threads(threads)
#endif
  {
    std::optional<State> state;  // nothing here may throw: it would end the process
#if PARADE_HAS_OPENMP
#pragma omp for schedule(dynamic, 1)
#endif
    for (Index i = 0; i < count; ++i) {
      try {
        if (!state) state.emplace();
        work(i, *state);
      } catch (...) {
#if PARADE_HAS_OPENMP
#pragma omp critical(parade_for_each_piece)
#endif
        if (i < failed) {
          failed = i;
          failure = std::current_exception();
        }
      }
    }
  }
  static_cast<void>(threads);
  if (failure) std::rethrow_exception(failure);
}

}  // namespace detail
}  // namespace parade
