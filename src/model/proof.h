#pragma once

#include <cstdint>
#include <string_view>

namespace weighbridge::model {

// Who says what the right bytes are.
enum class Trust : std::uint8_t {
  kNone,       // nobody, and nothing was hashed
  kFirstSeen,  // we hashed what came, and hold later reads to it; never called verified
  kOrigin,     // the source's interface, or a seal found beside the files
  kPinned,     // the user, or a parent the user pinned
};

// By which digest they were checked.
enum class Method : std::uint8_t {
  kNothing,
  kPieces,  // hash tree, piece by piece
  kRoot,    // hash tree, once all pieces had come
  kSha256,  // SHA-256 of the whole file
};

struct Proof {
  Trust trust = Trust::kNone;
  Method method = Method::kNothing;

  friend bool operator==(const Proof&, const Proof&) = default;
};

// "pinned", "origin", "first_seen", "none".
std::string_view name_of(Trust trust);

}  // namespace weighbridge::model
