// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <istream>
#include <limits>
#include <new>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <parade/core/config.hpp>
#include <parade/core/error.hpp>

#if PARADE_HAS_ZLIB
#include <zlib.h>
#endif

// What all readers and writers of files share.
namespace parade {
namespace detail {

inline std::string message_at(const std::filesystem::path& file, std::uint64_t byte, const std::string& found,
                              const std::string& expected) {
  return text(file.string(), ": byte ", byte, ": found ", found, ", expected ", expected);
}
[[noreturn]] inline void fail_at(const std::filesystem::path& file, std::uint64_t byte, const std::string& found,
                                 const std::string& expected) {
  throw FileError(message_at(file, byte, found, expected));
}

#if PARADE_HAS_ZLIB

/// Unpacks what gzip packed (RFC 1952): one member or several, each with its checksum, and nothing behind them.
class Gunzip {
 public:
  Gunzip(const std::filesystem::path& file, std::istream& packed) : file_(file), packed_(packed) {
    if (inflateInit2(&stream_, 15 + 16) != Z_OK) throw std::bad_alloc{};  // the largest window, and gzip's header
  }
  Gunzip(const Gunzip&) = delete;
  Gunzip& operator=(const Gunzip&) = delete;
  ~Gunzip() { inflateEnd(&stream_); }

  /// Bytes of the packed file that were unpacked so far.
  std::uint64_t taken() const { return taken_ - stream_.avail_in; }

  /// Fewer bytes than asked for only at the end. Behind damage there is nothing more to read: the error stays what it was.
  std::size_t read(std::span<std::uint8_t> to) {
    if (!damage_.empty()) throw FileError(damage_);
    std::size_t done = 0;
    while (done < to.size()) {
      if (stream_.avail_in == 0) refill();
      if (stream_.avail_in == 0 && member_complete_) break;
      if (stream_.avail_in == 0) fail("the end of the file");
      if (member_complete_) inflateReset(&stream_);
      const auto room = static_cast<uInt>(std::min<std::size_t>(to.size() - done, std::numeric_limits<uInt>::max()));
      stream_.next_out = to.data() + done;
      stream_.avail_out = room;
      const int status = inflate(&stream_, Z_NO_FLUSH);
      if (status != Z_OK && status != Z_STREAM_END)
        fail(text("bytes that do not unpack (", stream_.msg ? stream_.msg : "no reason given", ")"));
      member_complete_ = status == Z_STREAM_END;
      done += room - stream_.avail_out;
    }
    return done;
  }

 private:
  void refill() {
    packed_.read(reinterpret_cast<char*>(buffer_.data()), static_cast<std::streamsize>(buffer_.size()));
    stream_.next_in = buffer_.data();
    stream_.avail_in = static_cast<uInt>(packed_.gcount());
    taken_ += stream_.avail_in;
  }
  [[noreturn]] void fail(const std::string& found) {
    damage_ = message_at(file_, taken(), found, "a whole gzip file and nothing behind it");
    throw FileError(damage_);
  }

  std::filesystem::path file_;
  std::istream& packed_;
  z_stream stream_{};
  std::array<Bytef, 1 << 16> buffer_;
  std::uint64_t taken_ = 0;  // from the file so far
  bool member_complete_ = false;
  std::string damage_;
};

#else

class Gunzip {
 public:
  Gunzip(const std::filesystem::path& file, std::istream&) {
    throw FileError(
        text(file.string(), ": is packed by gzip; unpack it with gunzip, or compile with -DPARADE_WITH_ZLIB and link with -lz"));
  }
  std::uint64_t taken() const { return 0; }
  std::size_t read(std::span<std::uint8_t>) { return 0; }
};

#endif

/// What stands where a file is expected.
inline const char* kind_of(std::filesystem::file_type type) {
  return type == std::filesystem::file_type::directory ? "a directory" : "a device or pipe";
}

/// The bytes of a file from the first to the last, unpacked if they are packed by gzip: its first two bytes tell, not its name.
class ByteReader {
 public:
  explicit ByteReader(const std::filesystem::path& file) : file_(file) {
    std::error_code ignored;
    const auto status = std::filesystem::status(file, ignored);
    if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status))
      throw FileError(text(file.string(), ": is ", kind_of(status.type()), ", expected a file"));
    in_.open(file, std::ios::binary);
    if (!in_) throw FileError(text(file.string(), ": cannot be opened: ", std::generic_category().message(errno)));

    std::array<char, 2> first{};
    in_.read(first.data(), first.size());
    in_.clear();
    in_.seekg(0, std::ios::end);
    size_ = static_cast<std::uint64_t>(in_.tellg());
    in_.seekg(0);
    if (first == std::array{'\x1F', '\x8B'}) gunzip_.emplace(file, in_);
  }

  /// The number of bytes, where the file is not packed.
  std::optional<std::uint64_t> size() const { return gunzip_ ? std::nullopt : std::optional{size_}; }
  std::uint64_t offset() const { return offset_; }  // bytes read so far, after unpacking
  /// The share of the file that was read so far; of a packed one, of its packed bytes.
  double share() const { return size_ == 0 ? 1 : static_cast<double>(gunzip_ ? gunzip_->taken() : offset_) / static_cast<double>(size_); }
  const std::filesystem::path& file() const { return file_; }

  /// The next bytes, fewer than asked for only at the end of the file.
  std::size_t read(std::span<std::uint8_t> to) {
    std::size_t count = 0;
    if (gunzip_) {
      count = gunzip_->read(to);
    } else {
      in_.read(reinterpret_cast<char*>(to.data()), static_cast<std::streamsize>(to.size()));
      count = static_cast<std::size_t>(in_.gcount());
    }
    if (in_.bad()) throw FileError(text(file_.string(), ": byte ", offset_ + count, ": cannot be read"));
    offset_ += count;
    return count;
  }

  /// Reads a packed file to its end: throws if it is damaged, which only its end may tell.
  void check_rest() {
    std::array<std::uint8_t, 1 << 16> rest;
    while (gunzip_ && read(rest) == rest.size()) {
    }
  }

  [[noreturn]] void fail(std::uint64_t byte, const std::string& found, const std::string& expected) const {
    fail_at(file_, byte, found, expected);
  }

 private:
  std::filesystem::path file_;
  std::ifstream in_;
  std::optional<Gunzip> gunzip_;
  std::uint64_t size_ = 0;
  std::uint64_t offset_ = 0;
};

/// The file to replace: behind a symbolic link the one that it points to, there or not. Throws FileError if what stands there is no file: a
/// rename would put a file in the place of a pipe or a device.
inline std::filesystem::path file_to_replace(const std::filesystem::path& file) {
  std::error_code error;
  const auto status = std::filesystem::status(file, error);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status))
    throw FileError(text(file.string(), ": cannot be written: is ", kind_of(status.type()), ", expected a file or nothing"));
  auto target = file;
  for (int links = 0; std::filesystem::is_symlink(std::filesystem::symlink_status(target, error)); ++links) {
    const auto next = std::filesystem::read_symlink(target, error);
    if (!error && links == 40) error = std::make_error_code(std::errc::too_many_symbolic_link_levels);
    if (error) throw FileError(text(file.string(), ": cannot be written: ", error.message()));
    target = target.parent_path() / next;  // which is `next` alone where that begins at the root
  }
  return target;
}

/// Writes a file under another name in the same folder first and then renames it, so that nobody ever sees half of it. `give(write)` hands over
/// the bytes, piece by piece, by write(data, size). Packed by gzip where the name ends in ".gz" (with zlib only). Behind a symbolic link the
/// file that it points to is replaced, and the link stays.
///
/// Throws FileError when the file cannot be written, or what has its name is no file (a pipe, a device, a directory), which leaves what was
/// there before; and passes on what `give` throws.
template <class Give>
void write_file_pieces(const std::filesystem::path& file, const Give& give) {
  const auto target = file_to_replace(file);
  auto partial = target;
  partial += text(".", std::random_device{}(), ".part");
  const auto remove = [&] {
    std::error_code ignored;
    std::filesystem::remove(partial, ignored);
  };
  const auto fail = [&](const std::string& why) {
    remove();
    throw FileError(text(file.string(), ": cannot be written: ", why));
  };
  if (file.extension() == ".gz") {
#if PARADE_HAS_ZLIB
    const gzFile out = gzopen(partial.string().c_str(), "wb");
    if (!out) fail(std::generic_category().message(errno));
    bool written = true;
    try {
      give([&](const void* data, std::size_t size) { written = written && gzfwrite(data, 1, size, out) == size; });
    } catch (...) {
      gzclose(out);
      remove();
      throw;
    }
    if (const bool closed = gzclose(out) == Z_OK; !written || !closed) fail(std::generic_category().message(errno));
#else
    fail("a .gz file needs zlib: compile with -DPARADE_WITH_ZLIB and link with -lz");
#endif
  } else {
    std::ofstream out{partial, std::ios::binary};
    try {
      give([&](const void* data, std::size_t size) { out.write(static_cast<const char*>(data), static_cast<std::streamsize>(size)); });
    } catch (...) {
      out.close();
      remove();
      throw;
    }
    out.close();
    if (!out) fail(std::generic_category().message(errno));
  }
  std::error_code error;
  std::filesystem::rename(partial, target, error);
  if (error) fail(error.message());
}

inline void write_file(const std::filesystem::path& file, std::span<const std::uint8_t> bytes) {
  write_file_pieces(file, [&](const auto& write) { write(bytes.data(), bytes.size()); });
}

}  // namespace detail
}  // namespace parade
