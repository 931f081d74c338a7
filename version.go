package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// release is the version of the source tree; -ldflags "-X main.release=..." sets
// another.
var release = "0.1.0"

// commit is the commit the binary was built from, where -ldflags "-X
// main.commit=..." names it: in a source archive the toolchain cannot know.
var commit string

// revision returns the commit the binary was built from, if the build or the
// toolchain knows.
func revision() string {
	if commit != "" {
		return commit
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return "unknown"
}

func version(_ []string, stdout, _ io.Writer) int {
	fmt.Fprintf(stdout, "portsyncd %s (revision %s, %s, %s/%s)\n",
		release, revision(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return exitOK
}
