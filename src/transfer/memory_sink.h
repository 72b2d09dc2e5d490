#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "sync/guarded.h"
#include "transfer/sink.h"

namespace weighbridge::transfer {

// Keeps pieces of files in ordinary memory: headers and other small things. Thread-safe.
class MemorySink final : public Sink {
 public:
  base::Result<std::span<std::byte>> place(const model::File&, base::Range) override {
    return std::span<std::byte>();
  }

  base::Result<void> landed(const model::File& file,
                            base::Range piece,
                            std::span<const std::byte> bytes) override {
    files_.with([&](auto& files) {
      files[file.path].pieces[piece.begin] = {bytes.begin(), bytes.end()};
    });
    return {};
  }

  base::Result<void> publish(const model::File& file, base::Range, model::Proof proof) override {
    files_.with([&](auto& files) { files[file.path].proof = proof; });
    return {};
  }

  void abandon(const model::File& file, const base::Error&) override {
    files_.with([&](auto& files) { files.erase(file.path); });
  }

  struct Taken {
    std::vector<std::byte> bytes;  // the pieces one after the other
    model::Proof proof;
  };

  // What has been published of the file; the sink forgets it.
  Taken take(const model::File& file) {
    return files_.with([&](auto& files) {
      Kept& kept = files[file.path];
      Taken taken;
      for (auto& [offset, bytes] : kept.pieces) {
        if (taken.bytes.empty()) {
          taken.bytes = std::move(bytes);
        } else {
          taken.bytes.insert(taken.bytes.end(), bytes.begin(), bytes.end());
        }
      }
      taken.proof = kept.proof;
      files.erase(file.path);
      return taken;
    });
  }

 private:
  struct Kept {
    std::map<std::uint64_t, std::vector<std::byte>> pieces;
    model::Proof proof;
  };

  sync::Guarded<std::map<std::string, Kept>> files_;
};

}  // namespace weighbridge::transfer
