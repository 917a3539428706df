/** Files that the build puts into the program as bytes. */
declare module "*.onnx" {
  const bytes: Uint8Array<ArrayBuffer>;
  export default bytes;
}
