#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/range.h"
#include "sources/source.h"
#include "sync/guarded.h"

namespace weighbridge::sources::testing {

using Bytes = std::vector<std::byte>;

// `count` bytes that repeat nowhere near, the same for the same seed.
Bytes random_bytes(std::size_t count, std::uint64_t seed);

// A File as a seal would describe it: every digest in place.
model::File sealed_file(std::string path, const Bytes& bytes, model::Trust trust);

// A Source in memory that fails as a test decides. Thread-safe once set up.
class FakeSource final : public Source {
 public:
  // What happens to one read.
  struct Fault {
    std::optional<std::uint64_t> stop_after;  // deliver so many bytes of it, then fail
    std::optional<base::Error> error;         // with this (kUnavailable if none is given)
    std::optional<std::uint64_t> flip;        // at this offset of the file
    std::function<void()> wait;               // first

    // Nothing is delivered, and this is why.
    static Fault fails(base::Error error) {
      Fault fault;
      fault.stop_after = 0;
      fault.error = std::move(error);
      return fault;
    }
  };

  struct Read {
    std::string path;
    base::Range range;
    std::size_t number = 0;  // of this source, from 0
  };

  // The world; set before use.
  std::map<std::string, Bytes, std::less<>> files;
  std::map<std::string, model::Validator, std::less<>> validators;
  std::optional<Bytes> seal_bytes;
  std::string single;
  bool can_list = true;
  bool has_ranges = true;
  std::size_t connections = 4;
  std::optional<std::size_t> first;  // fewer: an origin to adapt to
  std::function<Fault(const Read&)> fault = [](const Read&) { return Fault{}; };

  base::Result<std::string> single_file(const base::Call& call) override;
  base::Result<std::optional<Bytes>> seal(const base::Call& call) override;
  base::Result<std::optional<Listing>> list(const base::Call& call) override;
  base::Result<model::File> find(const base::Call& call, std::string_view path) override;
  base::Result<void> read(const base::Call& call,
                          const model::File& file,
                          base::Range range,
                          base::BodySink& sink) override;

  std::string printable(std::string_view path) const override {
    return "fake://" + std::string(path);
  }

  std::string identity(std::string_view path) const override { return printable(path); }

  std::size_t max_connections() const override { return connections; }

  std::size_t first_connections() const override { return first.value_or(connections); }

  // What has been asked for so far, in order.
  std::vector<Read> reads() const;
  std::uint64_t delivered_bytes() const;
  // Calls that would have sent a packet: of seal, list, find and read.
  std::uint64_t questions() const;

 private:
  struct Log {
    std::vector<Read> reads;
    std::uint64_t delivered_bytes = 0;
    std::uint64_t questions = 0;  // but for reads
  };

  base::Result<void> deliver(const Bytes& bytes,
                             base::Range range,
                             const Fault& fault,
                             base::BodySink& sink);

  sync::Guarded<Log> log_;
};

}  // namespace weighbridge::sources::testing
