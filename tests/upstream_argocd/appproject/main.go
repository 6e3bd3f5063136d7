// Command appproject answers by Argo CD's own code what an AppProject permits, so that tests can compare kubeassay
// with it.
//
// It reads one JSON object a line from standard input and writes one a line to standard output:
//
//	{"project": {...}, "sources": ["https://..."], "destinations": [{"server": "", "name": "", "namespace": ""}]}
//	{"sources": [true, ...], "destinations": [true, ...], "urls": ["normalized", ...]}
//
// "project" is the spec of an AppProject of argoproj.io/v1alpha1.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/git"
	log "github.com/sirupsen/logrus"
)

type destination struct {
	Server    string `json:"server"`
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
}

type question struct {
	Project      v1alpha1.AppProjectSpec `json:"project"`
	Sources      []string                `json:"sources"`
	Destinations []destination           `json:"destinations"`
}

type answer struct {
	Sources      []bool   `json:"sources"`
	Destinations []bool   `json:"destinations"`
	URLs         []string `json:"urls"`
}

func noClusters(string) ([]*v1alpha1.Cluster, error) { return nil, nil }

func main() {
	log.SetLevel(log.PanicLevel)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<20), 1<<26)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		project := v1alpha1.AppProject{Spec: asked.Project}
		said := answer{Sources: []bool{}, Destinations: []bool{}, URLs: []string{}}
		for _, url := range asked.Sources {
			said.Sources = append(said.Sources, project.IsSourcePermitted(v1alpha1.ApplicationSource{RepoURL: url}))
			said.URLs = append(said.URLs, git.NormalizeGitURL(url))
		}
		for _, to := range asked.Destinations {
			cluster := &v1alpha1.Cluster{Server: to.Server, Name: to.Name}
			permitted, err := project.IsDestinationPermitted(cluster, to.Namespace, noClusters)
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			said.Destinations = append(said.Destinations, permitted)
		}
		if err := out.Encode(said); err != nil {
			os.Exit(1)
		}
	}
}
