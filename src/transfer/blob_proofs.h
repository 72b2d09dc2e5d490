#pragma once

#include <span>
#include <string_view>

#include "base/result.h"
#include "hash/digest.h"
#include "sources/source.h"
#include "store/blob_file.h"
#include "store/store.h"

namespace weighbridge::transfer {

// A blob, as LocalProofs knows files: by device, inode, size and modification time. Its change time
// counts for nothing, as every lease and every link moves it.
base::Result<sources::LocalFile> local_file_of(const store::BlobFile& blob);

// Is this the validator of a blob, and not one that an origin gave?
bool is_of_blob(const model::Validator& validator);

// Writes down what the blob was proved to be when it was made, so that reading it need not hash it.
// Small ones are hashed for less than looking that up would cost: they are passed over.
base::Result<void> remember_blob(store::Store& store, const store::BlobFile& blob);

}  // namespace weighbridge::transfer
