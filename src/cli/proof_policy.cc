#include "cli/proof_policy.h"

#include <CLI/CLI.hpp>

namespace weighbridge::cli {
namespace {

constexpr const char* kAlways = "always";

}  // namespace

void ProofPolicy::declare(CLI::App& app) {
  app.add_option("--verify",
                 verify_,
                 "sealed: hash all but local files that this machine has hashed before and that "
                 "have not changed since; always: hash every byte")
      ->check(CLI::IsMember({"sealed", kAlways}))
      ->capture_default_str();
  app.add_option(
         "--require-proof", required_, "Fail, and hand over nothing, where less vouches for a file")
      ->check(CLI::IsMember({"pinned", "origin", "first-seen"}));
}

void ProofPolicy::apply(const Environment& environment) const {
  if (hash_always() && environment.local_proofs != nullptr) {
    environment.local_proofs->hash_always();
  }
}

bool ProofPolicy::hash_always() const {
  return verify_ == kAlways;
}

model::Trust ProofPolicy::required() const {
  if (required_ == "pinned") {
    return model::Trust::kPinned;
  }
  if (required_ == "origin") {
    return model::Trust::kOrigin;
  }
  return required_.empty() ? model::Trust::kNone : model::Trust::kFirstSeen;
}

}  // namespace weighbridge::cli
