#include "transfer/make_seal.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "hash/hash_tree.h"
#include "sync/guarded.h"
#include "transfer/file_describer.h"

namespace weighbridge::transfer {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

constexpr std::size_t kMaxNamed = 20;  // refused entries named in an error

// Reads a whole file into one piece's memory, and describes it. Confined.
class Describer final : public base::BodySink {
 public:
  Describer(std::uint64_t file_bytes, std::vector<base::Range> hinted, Progress& progress)
      : file_bytes_(file_bytes),
        describer_(file_bytes, std::move(hinted)),
        progress_(progress),
        buffer_(std::min(file_bytes, hash::kPieceBytes)) {}

  // To the end of the piece, so that only the file's last bytes are of an odd length.
  std::span<std::byte> window() override {
    const std::uint64_t done = describer_.bytes();
    const std::uint64_t in_piece = done % hash::kPieceBytes;
    const std::uint64_t most = std::min(hash::kPieceBytes - in_piece, file_bytes_ - done);
    return std::span(buffer_).subspan(in_piece, most);
  }

  Result<void> landed(std::size_t bytes) override {
    describer_.update(window().first(bytes));
    progress_.received_bytes += bytes;
    return {};
  }

  // After the last byte.
  void finish(formats::SealedFile& file) { describer_.finish(file); }

  bool complete() const { return describer_.complete(); }

 private:
  const std::uint64_t file_bytes_;
  FileDescriber describer_;
  Progress& progress_;
  std::vector<std::byte> buffer_;  // one piece
};

Result<formats::SealedFile> describe(const Call& call,
                                     sources::Source& source,
                                     const model::File& file,
                                     Progress& progress) {
  Describer describer(file.size, TRY(hinted_tensors(call, source, file)), progress);
  TRY(source.read(call, file, {0, file.size}, describer));
  if (!describer.complete()) {
    return Error(Code::kUnavailable, "the file ended early").in_file(source.printable(file.path));
  }
  formats::SealedFile sealed;
  sealed.path = file.path;
  sealed.size = file.size;
  sealed.executable = file.executable;
  describer.finish(sealed);
  return sealed;
}

}  // namespace

Result<void> nothing_refused(const sources::Listing& listing) {
  if (listing.refused.empty()) {
    return {};
  }
  std::vector<std::string> named;
  for (std::size_t i = 0; i < std::min(listing.refused.size(), kMaxNamed); ++i) {
    const auto& refused = listing.refused[i];
    named.push_back(fmt::format("'{}' ({})", base::printable(refused.path), refused.reason));
  }
  const std::size_t more = listing.refused.size() - named.size();
  return Error(Code::kInvalid,
               fmt::format("cannot be sealed: {}{}",
                           fmt::join(named, ", "),
                           more > 0 ? fmt::format(" and {} more", more) : ""))
      .in_file(listing.refused.front().path)
      .with_hint("Remove them, or seal another directory.");
}

Result<formats::Seal> make_seal(const Call& call,
                                sources::Source& source,
                                const sources::Listing& listing,
                                Progress& progress) {
  TRY(nothing_refused(listing));
  formats::Seal seal;
  seal.files.resize(listing.files.size());
  for (const model::File& file : listing.files) {
    progress.wanted_bytes += file.size;
  }
  std::stop_source stop;
  const std::stop_callback<std::function<void()>> forward(call.stop(),
                                                          [&] { stop.request_stop(); });
  const Call inner = call.stopped_by(stop.get_token());
  std::atomic<std::size_t> next = 0;
  sync::Guarded<std::optional<Error>> failure;
  const auto work = [&] {
    for (std::size_t i = next++; i < listing.files.size() && !stop.stop_requested(); i = next++) {
      auto sealed = describe(inner, source, listing.files[i], progress);
      if (sealed.ok()) {
        seal.files[i] = std::move(sealed).value();
        continue;
      }
      failure.with([&](std::optional<Error>& first) {
        if (!first) {
          first = std::move(sealed).error();
        }
      });
      stop.request_stop();
    }
  };
  {
    std::vector<std::jthread> workers;
    const std::size_t threads = std::min(source.max_connections(), listing.files.size());
    for (std::size_t i = 1; i < threads; ++i) {
      workers.emplace_back(work);
    }
    work();
  }
  TRY(call.check());
  auto first = failure.with([](std::optional<Error>& error) { return std::move(error); });
  if (first) {
    return std::move(*first);
  }
  return seal;
}

}  // namespace weighbridge::transfer
