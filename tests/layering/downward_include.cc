// Compiled with what `base` may see: this must pass.
#include "base/result.h"
