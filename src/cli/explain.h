#pragma once

#include <string>

#include "base/json_writer.h"
#include "transfer/explanation.h"

namespace weighbridge::cli {

// What --explain prints: what a transfer chose, why, and where its time went.
std::string explain_text(const transfer::Explanation& told);
// The value of the member "explain".
void explain_json(base::JsonWriter& json, const transfer::Explanation& told);

}  // namespace weighbridge::cli
