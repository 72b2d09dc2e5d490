#include "sources/testing/fake_source.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <utility>

#include "formats/seal.h"
#include "hash/hash_tree.h"
#include "hash/sha256.h"

namespace weighbridge::sources::testing {

using base::Code;
using base::Error;
using base::Result;

Bytes random_bytes(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Bytes bytes(count);
  for (std::size_t i = 0; i < count; i += sizeof(std::uint64_t)) {
    const std::uint64_t word = random();
    std::memcpy(bytes.data() + i, &word, std::min(sizeof(word), count - i));
  }
  return bytes;
}

model::File sealed_file(std::string path, const Bytes& bytes, model::Trust trust) {
  model::File file;
  file.path = std::move(path);
  file.size = bytes.size();
  file.sha256 = hash::Sha256::of(bytes);
  file.root = hash::hash_bytes(bytes);
  file.trust = trust;
  const std::uint64_t pieces = hash::piece_count(file.size);
  for (std::uint64_t piece = 0; pieces > 1 && piece < pieces; ++piece) {
    const base::Range range = hash::piece_range(piece, file.size);
    hash::PieceHasher hasher;
    hasher.start(piece);
    hasher.update(std::span(bytes).subspan(range.begin, range.size()));
    file.pieces.push_back(hasher.finish_piece());
  }
  return file;
}

Result<std::string> FakeSource::single_file(const base::Call&) {
  return single;
}

Result<std::optional<Bytes>> FakeSource::seal(const base::Call&) {
  log_.with([](Log& log) { ++log.questions; });
  return seal_bytes;
}

Result<std::optional<Listing>> FakeSource::list(const base::Call& call) {
  log_.with([](Log& log) { ++log.questions; });
  if (!can_list) {
    return std::optional<Listing>();
  }
  Listing listing;
  for (const auto& [path, bytes] : files) {
    listing.files.push_back(TRY(find(call, path)));
  }
  return std::optional(std::move(listing));
}

Result<model::File> FakeSource::find(const base::Call&, std::string_view path) {
  log_.with([](Log& log) { ++log.questions; });
  const auto found = files.find(path);
  const bool is_seal = path == formats::kSealName && seal_bytes;
  if (found == files.end() && !is_seal) {
    return Error(Code::kNotFound, "no such file").in_file(printable(path));
  }
  model::File file;
  file.path = std::string(path);
  file.size = is_seal ? seal_bytes->size() : found->second.size();
  const auto validator = validators.find(path);
  if (validator != validators.end()) {
    file.validator = validator->second;
  }
  return file;
}

Result<void> FakeSource::read(const base::Call& call,
                              const model::File& file,
                              base::Range range,
                              base::BodySink& sink) {
  const Read read = log_.with([&](Log& log) {
    log.reads.push_back({file.path, range, log.reads.size()});
    return log.reads.back();
  });
  const Fault fate = fault(read);
  if (fate.wait) {
    fate.wait();
  }
  TRY(call.check());
  const auto found = files.find(file.path);
  if (found == files.end()) {
    return Error(Code::kNotFound, "no such file").in_file(printable(file.path));
  }
  if (!has_ranges && range.begin > 0) {
    return Error(Code::kUnsupported, "no ranges here").in_file(printable(file.path));
  }
  return deliver(found->second, range, fate, sink);
}

Result<void> FakeSource::deliver(const Bytes& bytes,
                                 base::Range range,
                                 const Fault& fate,
                                 base::BodySink& sink) {
  constexpr std::uint64_t kStep = 50'000;  // no multiple of anything
  const std::uint64_t fails_at = range.begin + fate.stop_after.value_or(range.size());
  const std::uint64_t end = std::min<std::uint64_t>({range.end, bytes.size(), fails_at});
  for (std::uint64_t at = range.begin; at < end;) {
    const std::span<std::byte> window = sink.window();
    if (window.empty()) {
      return {};
    }
    const std::uint64_t count = std::min<std::uint64_t>({window.size(), kStep, end - at});
    std::memcpy(window.data(), bytes.data() + at, count);
    if (fate.flip && *fate.flip >= at && *fate.flip < at + count) {
      window[*fate.flip - at] ^= std::byte{1};
    }
    log_.with([&](Log& log) { log.delivered_bytes += count; });
    TRY(sink.landed(count));
    at += count;
  }
  if (fate.error) {
    return fate.error->copy();
  }
  if (end < range.end) {
    return Error(Code::kUnavailable, "broke off");
  }
  return {};
}

std::vector<FakeSource::Read> FakeSource::reads() const {
  return log_.with([](const Log& log) { return log.reads; });
}

std::uint64_t FakeSource::questions() const {
  return log_.with([](const Log& log) { return log.questions + log.reads.size(); });
}

std::uint64_t FakeSource::delivered_bytes() const {
  return log_.with([](const Log& log) { return log.delivered_bytes; });
}

}  // namespace weighbridge::sources::testing
