package lab

import (
	"flag"
	"runtime"
	"strconv"
)

// SetParallel sets the number of parallel tests to perCPU for each CPU, unless -parallel is set. It is for
// TestMain of packages whose tests mostly wait.
func SetParallel(perCPU int) error {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == parallelFlag })
	if given {
		return nil
	}
	return flag.Set(parallelFlag, strconv.Itoa(perCPU*runtime.GOMAXPROCS(0)))
}

const parallelFlag = "test.parallel"
