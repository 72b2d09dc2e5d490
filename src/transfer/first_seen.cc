#include "transfer/first_seen.h"

#include <vector>

#include <fmt/format.h>

#include "hash/hash_tree.h"

namespace weighbridge::transfer {

base::Result<void> FirstSeen::hold(const std::string& identity,
                                   const model::File& file,
                                   std::uint64_t piece,
                                   const hash::ChainingValue& value) {
  const hash::ChainingValue before = files_.with([&](std::map<std::string, Known>& files) {
    Known& known = files[identity];
    if (known.size != file.size || known.validator != file.validator) {
      known = {file.size, file.validator, {}};
    }
    return known.pieces.try_emplace(piece, value).first->second;
  });
  if (before == value) {
    return {};
  }
  return base::Error(base::Code::kCorrupt,
                     fmt::format("these bytes are not the ones that came first: expected piece "
                                 "value {}, found {}",
                                 before.hex(),
                                 value.hex()))
      .at(hash::piece_range(piece, file.size).begin);
}

void FirstSeen::replace(const std::string& identity,
                        const model::File& file,
                        std::span<const hash::ChainingValue> values) {
  Known known{file.size, file.validator, {}};
  for (std::size_t piece = 0; piece < values.size(); ++piece) {
    known.pieces.emplace_hint(known.pieces.end(), piece, values[piece]);
  }
  files_.with([&](std::map<std::string, Known>& files) {
    files.insert_or_assign(identity, std::move(known));
  });
}

std::optional<hash::Root> FirstSeen::root(const std::string& identity,
                                          const model::File& file) const {
  return files_.with([&](const std::map<std::string, Known>& files) -> std::optional<hash::Root> {
    const auto found = files.find(identity);
    if (found == files.end() || found->second.size != file.size ||
        found->second.validator != file.validator ||
        found->second.pieces.size() != hash::piece_count(file.size)) {
      return std::nullopt;
    }
    std::vector<hash::ChainingValue> pieces;
    for (const auto& [piece, value] : found->second.pieces) {
      pieces.push_back(value);
    }
    if (pieces.size() == 1) {
      return hash::Root{pieces.front().bytes};  // of a single piece the root itself is kept
    }
    return hash::merge_pieces(pieces);
  });
}

}  // namespace weighbridge::transfer
