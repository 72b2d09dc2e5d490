#include "transfer/adopt.h"

#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "formats/seal.h"
#include "hash/sha256.h"
#include "model/snapshot.h"
#include "transfer/make_seal.h"

namespace weighbridge::transfer {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

// Which files these are now.
Result<std::vector<store::AdoptedFile>> look(io::FileSystem& files,
                                             const std::string& directory,
                                             const sources::Listing& listing) {
  std::vector<store::AdoptedFile> found;
  for (const model::File& file : listing.files) {
    const io::FileInfo info = TRY(files.info(store::adopted_path(directory, file.path)));
    store::AdoptedFile adopted;
    adopted.path = file.path;
    adopted.size = info.size;
    adopted.device = info.device;
    adopted.inode = info.inode;
    adopted.mtime_ns = info.mtime_ns;
    adopted.ctime_ns = info.ctime_ns;
    found.push_back(std::move(adopted));
  }
  return found;
}

struct Sealed {
  std::vector<std::byte> bytes;
  hash::Root content_id;
};

hash::Root content_id_of(formats::Seal seal) {
  // A seal names the root of every file.
  return *formats::snapshot_of(std::move(seal), "", {}, model::Trust::kNone).content_id;
}

Error differs(const AdoptPlan& plan, std::string_view why) {
  return Error(Code::kCorrupt, std::string(why))
      .in_file(plan.source.printable(formats::kSealName))
      .with_hint(
          "`weighbridge verify` names the files; seal the directory again if they are right.");
}

// The seal that lies beside the files, if it says what they are; else the one just made.
Result<Sealed> seal_of(const Call& call, const AdoptPlan& plan, formats::Seal made) {
  const auto& pin = plan.ref.pinned_sha256();
  Sealed sealed{TRY(formats::write_seal(made)), content_id_of(std::move(made))};
  auto beside = TRY(plan.source.seal(call));
  if (!beside) {
    return pin ? Error(Code::kNotFound, "the reference pins a seal, and there is none")
                     .in_file(plan.source.printable(formats::kSealName))
               : Result<Sealed>(std::move(sealed));
  }
  if (pin && hash::Sha256::of(*beside) != *pin) {
    return differs(plan, "the seal is not the pinned one");
  }
  auto parsed = formats::parse_seal(*beside);
  if (!parsed.ok()) {
    return std::move(parsed).error().in_file(plan.source.printable(formats::kSealName));
  }
  if (content_id_of(std::move(parsed).value()) != sealed.content_id) {
    return differs(plan, "the files are not what the seal beside them says");
  }
  sealed.bytes = *std::move(beside);
  return sealed;
}

}  // namespace

Result<store::AdoptedDirectory> adopt(const Call& call,
                                      const AdoptPlan& plan,
                                      const sources::Listing& listing,
                                      store::Store& store,
                                      Progress& progress) {
  io::FileSystem& files = store.home().files();
  store::AdoptedDirectory adopted;
  adopted.directory = plan.directory;
  adopted.files = TRY(look(files, plan.directory, listing));
  formats::Seal made = TRY(make_seal(call, plan.source, listing, progress));
  if (TRY(look(files, plan.directory, listing)) != adopted.files) {
    return Error(Code::kConflict, "a file changed while it was read").in_file(plan.directory);
  }
  for (std::size_t i = 0; i < made.files.size(); ++i) {
    adopted.files[i].root = made.files[i].root;
  }
  const Sealed sealed = TRY(seal_of(call, plan, std::move(made)));
  TRY(call.check());
  adopted.content_id = sealed.content_id;
  adopted.seal_sha256 = TRY(store.refs().put_seal(sealed.bytes));
  const auto now = call.clock().wall_now().time_since_epoch();
  adopted.adopted_s =
      static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(now).count());
  TRY(store.adopted().put(adopted));
  return adopted;
}

}  // namespace weighbridge::transfer
