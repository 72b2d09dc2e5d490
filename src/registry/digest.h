#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/body_sink.h"
#include "base/result.h"
#include "hash/digest.h"

namespace weighbridge::registry {

enum class Algorithm : std::uint8_t { kSha256, kSha512, kBlake3 };

// What names content in a registry: "sha256:<64 hex>", "sha512:<128 hex>", "blake3:<64 hex>".
// A value; ordered by its text. Thread-compatible.
class Digest {
 public:
  explicit Digest(const hash::Sha256Digest& digest);
  explicit Digest(const hash::Root& root);

  // kInvalid: not `algorithm:hex` with lower-case digits of the algorithm's length. kUnsupported:
  // well-formed, but of an algorithm that we cannot check.
  static base::Result<Digest> parse(std::string_view text);
  // The SHA-256 of these bytes.
  static Digest of(std::span<const std::byte> bytes);
  static Digest of(std::string_view bytes);

  Algorithm algorithm() const { return algorithm_; }

  const std::string& text() const { return text_; }

  std::string_view hex() const;
  // Nothing if it is of another algorithm.
  std::optional<hash::Sha256Digest> sha256() const;
  std::optional<hash::Root> root() const;

  friend bool operator==(const Digest& a, const Digest& b) { return a.text_ == b.text_; }

  friend std::strong_ordering operator<=>(const Digest& a, const Digest& b) {
    return a.text_.compare(b.text_) <=> 0;
  }

 private:
  friend class Digester;

  Digest(Algorithm algorithm, std::string text) : algorithm_(algorithm), text_(std::move(text)) {}

  Algorithm algorithm_;
  std::string text_;
};

// Computes a digest of any of the algorithms as bytes pass. Confined to one thread.
class Digester {
 public:
  explicit Digester(Algorithm algorithm);
  Digester(const Digester&) = delete;
  Digester& operator=(const Digester&) = delete;
  ~Digester();

  void update(std::span<const std::byte> bytes);
  // Ends it; call once.
  Digest finish();

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

// Hands a body on to `inner` and digests what lands. Borrows `inner`. Confined, as every sink.
class DigestingSink final : public base::BodySink {
 public:
  DigestingSink(Algorithm algorithm, base::BodySink& inner) : digester_(algorithm), inner_(inner) {}

  std::span<std::byte> window() override;
  base::Result<void> landed(std::size_t bytes) override;

  std::uint64_t bytes() const { return bytes_; }

  Digest finish() { return digester_.finish(); }

 private:
  Digester digester_;
  base::BodySink& inner_;
  std::span<std::byte> window_;
  std::uint64_t bytes_ = 0;
};

}  // namespace weighbridge::registry
