#include "loader/required_proof.h"

#include <fmt/format.h>

namespace weighbridge::loader {
namespace {

using model::Trust;

// With nothing to hold it to, a file is hashed as it comes.
Trust trust_to_come(const model::File& file) {
  return file.method() == model::Method::kNothing ? Trust::kFirstSeen : file.trust;
}

std::string_view remedy(Trust least) {
  return least == Trust::kPinned
             ? "Pin it: end the reference with #sha256= of the seal or of the file."
             : "Seal the directory where the files are right (`weighbridge seal DIR`), or pin the "
               "file with #sha256= or #blake3=.";
}

}  // namespace

base::Result<void> require_proof(const index::Index& index, Trust least) {
  for (const index::IndexedFile& indexed : index.files()) {
    const model::File& file = index.snapshot().files[indexed.file];
    const Trust trust = trust_to_come(file);
    if (trust < least) {
      return base::Error(base::Code::kDenied,
                         fmt::format("the proof is {}, {} is required",
                                     model::name_of(trust),
                                     model::name_of(least)))
          .in_file(file.path)
          .with_hint(std::string(remedy(least)));
    }
  }
  return {};
}

}  // namespace weighbridge::loader
