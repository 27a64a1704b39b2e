// A cluster with five add-ons, as near to one of our stacks as Blueprints come. Every version is given, and the zones are
// in cdk.json: nothing is looked up in an account.
const { App } = require('aws-cdk-lib');
const { KubernetesVersion } = require('aws-cdk-lib/aws-eks');
const { EksBlueprint, GlobalResources, VpcProvider, addons } = require('@aws-quickstart/eks-blueprints');

EksBlueprint.builder()
  .account('111122223333')
  .region('us-east-1')
  .version(KubernetesVersion.of('1.35'))
  .resourceProvider(GlobalResources.Vpc, new VpcProvider(undefined, { primaryCidr: '10.0.0.0/16' }))
  .addOns(
    new addons.VpcCniAddOn({ version: 'v1.20.4-eksbuild.1' }),
    new addons.CoreDnsAddOn('v1.12.4-eksbuild.1'),
    new addons.KubeProxyAddOn('v1.35.0-eksbuild.2'),
    new addons.KarpenterV1AddOn(),
    new addons.GpuOperatorAddon(),
  )
  .build(new App(), 'peer');
