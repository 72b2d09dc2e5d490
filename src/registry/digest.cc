#include "registry/digest.h"

#include <algorithm>
#include <array>
#include <optional>
#include <variant>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "hash/hash_tree.h"
#include "hash/sha256.h"
#include "hash/sha512.h"

namespace weighbridge::registry {
namespace {

using base::Code;
using base::Error;
using base::Result;

struct AlgorithmFacts {
  Algorithm algorithm;
  std::string_view name;
  std::size_t hex_digits;
};

constexpr std::array<AlgorithmFacts, 3> kAlgorithms = {{
    {Algorithm::kSha256, "sha256", 64},
    {Algorithm::kSha512, "sha512", 128},
    {Algorithm::kBlake3, "blake3", 64},
}};

constexpr std::size_t kLongestDigest = 512;

std::string named(Algorithm algorithm, std::string_view hex) {
  return fmt::format("{}:{}", kAlgorithms[static_cast<std::size_t>(algorithm)].name, hex);
}

bool is_lower_hex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// [a-z0-9]+([+._-][a-z0-9]+)*, so that what we merely do not know is told from what is malformed.
bool is_algorithm(std::string_view text) {
  bool after_word = false;
  for (const char c : text) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    const bool separator = c == '+' || c == '.' || c == '_' || c == '-';
    if (!word && !(separator && after_word)) {
      return false;
    }
    after_word = word;
  }
  return after_word;
}

// BLAKE3 of a stream whose length shows only at its end: a whole piece is ended only when another
// byte follows it, since the value of a file's one piece is made otherwise.
class Blake3Stream {
 public:
  Blake3Stream() { piece_.start(0); }

  void update(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      if (in_piece_ == hash::kPieceBytes) {
        values_.push_back(piece_.finish_piece());
        piece_.start(values_.size());
        in_piece_ = 0;
      }
      const auto room = static_cast<std::size_t>(hash::kPieceBytes - in_piece_);
      const auto taken = bytes.first(std::min(bytes.size(), room));
      take(taken);
      bytes = bytes.subspan(taken.size());
    }
  }

  hash::Root finish() {
    piece_.update(std::span(carry_).first(carried_));
    if (values_.empty()) {
      return piece_.finish_root();
    }
    values_.push_back(piece_.finish_piece());
    return hash::merge_pieces(values_);
  }

 private:
  // Bytes of one piece. The hasher wants whole chunks: what is less is carried to the next call.
  void take(std::span<const std::byte> bytes) {
    in_piece_ += bytes.size();
    if (carried_ > 0) {
      const std::size_t room = std::min(bytes.size(), hash::kChunkBytes - carried_);
      carry(bytes.first(room));
      bytes = bytes.subspan(room);
      if (carried_ < hash::kChunkBytes) {
        return;
      }
      piece_.update(carry_);
      carried_ = 0;
    }
    const std::size_t whole = bytes.size() / hash::kChunkBytes * hash::kChunkBytes;
    if (whole > 0) {
      piece_.update(bytes.first(whole));
    }
    carry(bytes.subspan(whole));
  }

  void carry(std::span<const std::byte> bytes) {
    std::copy(bytes.begin(), bytes.end(), carry_.begin() + static_cast<std::ptrdiff_t>(carried_));
    carried_ += bytes.size();
  }

  hash::PieceHasher piece_;
  std::uint64_t in_piece_ = 0;
  std::array<std::byte, hash::kChunkBytes> carry_{};
  std::size_t carried_ = 0;
  std::vector<hash::ChainingValue> values_;
};

}  // namespace

Digest::Digest(const hash::Sha256Digest& digest)
    : Digest(Algorithm::kSha256, named(Algorithm::kSha256, digest.hex())) {}

Digest::Digest(const hash::Root& root)
    : Digest(Algorithm::kBlake3, named(Algorithm::kBlake3, root.hex())) {}

Result<Digest> Digest::parse(std::string_view text) {
  const auto malformed = [&] {
    return Error(Code::kInvalid, fmt::format("'{}' is no digest", base::printable(text, 160)))
        .with_hint("A digest is written as sha256: and 64 lower-case hexadecimal digits.");
  };
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || text.size() > kLongestDigest) {
    return malformed();
  }
  const std::string_view name = text.substr(0, colon);
  const std::string_view hex = text.substr(colon + 1);
  for (const AlgorithmFacts& facts : kAlgorithms) {
    if (facts.name != name) {
      continue;
    }
    if (hex.size() != facts.hex_digits || !is_lower_hex(hex)) {
      return malformed();
    }
    return Digest(facts.algorithm, std::string(text));
  }
  if (!is_algorithm(name) || hex.empty()) {
    return malformed();
  }
  return Error(Code::kUnsupported,
               fmt::format("the digest '{}' is of an algorithm that cannot be checked",
                           base::printable(text, 160)))
      .with_hint("Known are sha256, sha512 and blake3.");
}

Digest Digest::of(std::span<const std::byte> bytes) {
  return Digest(hash::Sha256::of(bytes));
}

Digest Digest::of(std::string_view bytes) {
  return of(std::as_bytes(std::span(bytes)));
}

std::string_view Digest::hex() const {
  return std::string_view(text_).substr(text_.find(':') + 1);
}

std::optional<hash::Sha256Digest> Digest::sha256() const {
  return algorithm_ == Algorithm::kSha256 ? hash::Sha256Digest::from_hex(hex()) : std::nullopt;
}

std::optional<hash::Root> Digest::root() const {
  return algorithm_ == Algorithm::kBlake3 ? hash::Root::from_hex(hex()) : std::nullopt;
}

struct Digester::State {
  std::variant<hash::Sha256, hash::Sha512, Blake3Stream> hasher;
};

Digester::Digester(Algorithm algorithm) : state_(std::make_unique<State>()) {
  if (algorithm == Algorithm::kSha512) {
    state_->hasher.emplace<hash::Sha512>();
  } else if (algorithm == Algorithm::kBlake3) {
    state_->hasher.emplace<Blake3Stream>();
  }
}

Digester::~Digester() = default;

void Digester::update(std::span<const std::byte> bytes) {
  std::visit([&](auto& hasher) { hasher.update(bytes); }, state_->hasher);
}

Digest Digester::finish() {
  const auto algorithm = static_cast<Algorithm>(state_->hasher.index());
  return std::visit(
      [&](auto& hasher) { return Digest(algorithm, named(algorithm, hasher.finish().hex())); },
      state_->hasher);
}

std::span<std::byte> DigestingSink::window() {
  window_ = inner_.window();
  return window_;
}

Result<void> DigestingSink::landed(std::size_t bytes) {
  digester_.update(window_.first(bytes));
  bytes_ += bytes;
  return inner_.landed(bytes);
}

}  // namespace weighbridge::registry
