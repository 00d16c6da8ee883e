// <sys/pidfd.h> as C++ can link it: the header of glibc 2.36 lacks its extern "C".
#pragma once

extern "C" {
#include <sys/pidfd.h>
}
